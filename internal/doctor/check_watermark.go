package doctor

import (
	"context"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// stalls are causes that keep everything from being rolled up.
var stalls = []string{
	"standby", "constraint", "lock", "transactions", "last-error", "timer", "scheduler", "service",
	"pgcron-preload", "pgcron-database", "pgcron-job",
}

// watermarkFutureCheck: nothing is rolled up until the clock has come there.
func watermarkFutureCheck() Check {
	return Check{ID: "watermark-future", Title: "the watermark is not in the future", Needs: []string{"pipeline"}, Run: func(ctx context.Context, env *Env) Finding {
		row, err := env.state(ctx)
		if err != nil {
			return env.unknown(err)
		}
		if !row.watermark.After(row.now) {
			return well("%s", report.Stamp(row.watermark))
		}
		return critical(env.command("run"), "the watermark lies %s in the future: new usage is not rolled up until then", report.Duration(row.watermark.Sub(row.now))).
			with("watermark %s, database's clock %s", report.Stamp(row.watermark), report.Stamp(row.now)).
			with("run takes it back to the last point known to be true, and rolls up what lies between")
	}}
}

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

// lagCheck: usage that is due waits. Hours without usage are no lag.
func lagCheck() Check {
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
