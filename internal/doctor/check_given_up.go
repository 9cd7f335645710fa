package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// givenUpCheck: history that a partial backfill passed over is missing for good.
func givenUpCheck() Check {
	return Check{ID: "given-up", Title: "no history was given up", Needs: []string{"memory"}, ExplainedBy: []string{"watermark-epoch"}, Run: func(_ context.Context, env *Env) Finding {
		g := env.memory.GivenUp
		if g == nil {
			return well("none")
		}
		return warning(env.command("backfill --restart"), "%s usage rows before %s were given up and are in no bucket", report.Count(g.Events), report.Stamp(g.Before)).
			with("by backfill --force-partial at %s", report.Stamp(g.At))
	}}
}
