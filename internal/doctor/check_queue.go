package doctor

import (
	"context"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// queueBound bounds the counting of queue rows.
const queueBound = 100_000

// queueCheck: others' ticks prune the queue at 7 days, processed or not; those buckets stay wrong for good.
func queueCheck() Check {
	return Check{ID: "queue", Title: "the invalidation queue is worked off", Needs: []string{"pipeline"},
		ExplainedBy: append([]string{"guard", "watermark-future", "watermark-epoch", "watermark-behind", "backfill", "hourly-empty"}, stalls...),
		Run: func(ctx context.Context, env *Env) Finding {
			var rows int64
			var age *float64
			if err := env.get(ctx, []any{&rows, &age}, query("queue"), queueBound); err != nil {
				return env.unknown(err)
			}
			if age == nil {
				return well("empty")
			}
			oldest := time.Duration(*age * float64(time.Second))
			text := report.Count(rows)
			if rows == queueBound {
				text = "at least " + text
			}
			switch {
			case oldest >= env.Limits.QueueBad:
				return critical(env.command("run"), "invalidations have been waiting for %s: at 7 days others delete them unprocessed, and those hours stay wrong", report.Duration(oldest)).
					with("%s keys are queued", text)
			case oldest >= env.Limits.QueueOld:
				return warning(env.command("run"), "invalidations have been waiting for %s: changed and deleted usage still shows", report.Duration(oldest)).
					with("%s keys are queued", text)
			}
			return well("%s keys, the oldest for %s", text, report.Duration(oldest))
		}}
}
