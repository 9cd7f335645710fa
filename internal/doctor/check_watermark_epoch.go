package doctor

import (
	"context"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// watermarkEpochCheck: the database's own tick moves the watermark by a day at most, from 1970 on.
func watermarkEpochCheck() Check {
	return Check{ID: "watermark-epoch", Title: "the watermark has left the epoch", Needs: []string{"pipeline"},
		ExplainedBy: append([]string{"guard", "backfill"}, stalls...), Run: func(ctx context.Context, env *Env) Finding {
			row, err := env.state(ctx)
			if err != nil {
				return env.unknown(err)
			}
			if !row.epoch() || row.now.Sub(*row.waiting) < env.Limits.Lag {
				return well("%s", report.Stamp(row.watermark))
			}
			ticks := int64(row.oldest.Sub(row.watermark)/(24*time.Hour)) + 1
			return critical(env.command("backfill"), "the watermark (%s) has not come to the first usage, so the dashboard is at zero", report.Stamp(row.watermark)).
				with("the database's own tick moves it by a day: %d ticks to the first usage, %s at one every five minutes",
					ticks, report.Duration(time.Duration(ticks)*5*time.Minute))
		}}
}
