package doctor

import (
	"context"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// watermarkBehindCheck: usage that is due waits. Hours without usage are no lag.
func watermarkBehindCheck() Check {
	return Check{ID: "watermark-behind", Title: "usage that is due is rolled up", Needs: []string{"pipeline"},
		ExplainedBy: append([]string{"guard", "watermark-future", "watermark-epoch", "backfill"}, stalls...), Run: func(ctx context.Context, env *Env) Finding {
			row, err := env.state(ctx)
			if err != nil {
				return env.unknown(err)
			}
			if row.waiting == nil || row.now.Sub(*row.waiting) < env.Limits.Lag {
				return well("the watermark is at %s", report.Stamp(row.watermark))
			}
			behind := row.now.Sub(*row.waiting)
			fix := env.command("run")
			if behind > 24*time.Hour {
				fix = env.command("backfill")
			}
			f := warning(fix, "usage has been waiting for %s to be rolled up", report.Duration(behind))
			if behind >= env.Limits.LagBad {
				f.Verdict = Critical
			}
			return f.with("watermark %s, newest usage %s, last run %s", report.Stamp(row.watermark), report.Stamp(*row.newest), report.Stamp(row.lastRun()))
		}}
}
