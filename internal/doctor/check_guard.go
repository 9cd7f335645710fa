package doctor

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// guardCheck: an upgrade from v0.3.4 stops at migration 103 until history is rolled up.
func guardCheck() Check {
	return Check{ID: "guard", Title: "migration 103 is applied or would pass", Needs: []string{"pipeline"}, ExplainedBy: []string{"lock", "watermark-future"},
		Run: func(ctx context.Context, env *Env) Finding {
			var g pipeline.Guard
			err := env.read(ctx, func(tx pgx.Tx) (err error) {
				g, err = pipeline.ReadGuard(ctx, tx, env.pipe)
				return err
			})
			switch {
			case err != nil:
				return env.unknown(err)
			case g.Applied:
				return well("applied")
			case g.Pass:
				return well("pending, and would pass now")
			}
			return critical(env.command("guard --fix"), "Multica's migration 103 is pending and would refuse: history is not rolled up").
				with("watermark %s, newest usage %s", report.Stamp(g.Watermark), report.Stamp(g.Newest))
		}}
}
