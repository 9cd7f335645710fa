package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// driftCheck: the last recount found differences that nobody mended.
func driftCheck() Check {
	return Check{ID: "drift", Title: "the last recount found no difference", Needs: []string{"memory"},
		ExplainedBy: []string{"triggers", "hourly-empty", "given-up", "watermark-epoch", "costs"}, Run: func(_ context.Context, env *Env) Finding {
			d := env.memory.Drift
			if d == nil || d.Keys == 0 {
				return well("none known")
			}
			return warning(env.command("verify --repair"), "the recount of %s found %s wrong", report.Stamp(d.At), count(d.Keys, "hourly key", "hourly keys"))
		}}
}
