package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// emptyCheck: a watermark that somebody stamped hides that nothing was ever rolled up.
func emptyCheck() Check {
	return Check{ID: "hourly-empty", Title: "raw usage has hourly rows", Needs: []string{"pipeline"},
		ExplainedBy: append([]string{"guard", "watermark-future", "watermark-epoch", "watermark-behind", "backfill"}, stalls...),
		Run: func(ctx context.Context, env *Env) Finding {
			var raw, hourly bool
			if err := env.get(ctx, []any{&raw, &hourly}, query("empty"), env.Limits.Lag.Seconds()); err != nil {
				return env.unknown(err)
			}
			row, err := env.state(ctx)
			if err != nil {
				return env.unknown(err)
			}
			if !raw || hourly {
				return well("%s", map[bool]string{true: "there are", false: "there is no usage yet"}[hourly])
			}
			f := critical(env.command("backfill"), "there is raw usage and not one hourly row: the dashboard is at zero")
			if row.epoch() {
				return f
			}
			return f.with("the watermark is at %s: somebody moved the watermark without rolling up", report.Stamp(row.watermark))
		}}
}
