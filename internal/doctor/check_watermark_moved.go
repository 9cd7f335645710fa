package doctor

import (
	"context"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// watermarkMovedCheck: a migration's hook stamps the watermark without rolling up, so
// what lies between is in no bucket.
func watermarkMovedCheck() Check {
	return Check{ID: "watermark-moved", Title: "nobody moved the watermark without a roll-up", Needs: []string{"memory"},
		ExplainedBy: []string{"watermark-future", "watermark-epoch", "hourly-empty", "guard", "given-up", "backfill"}, Run: func(ctx context.Context, env *Env) Finding {
			row, err := env.state(ctx)
			if err != nil {
				return env.unknown(err)
			}
			for _, d := range env.memory.Deferred {
				if d.Kind == ledger.Gap {
					return warning(env.command("run"), "the watermark was moved by others; %s of usage time are still to be rolled up again", report.Duration(d.To.Sub(d.From))).
						with("from %s to %s", report.Stamp(d.From), report.Stamp(d.To))
				}
			}
			// Whoever rolls up to five minutes before his start notes the end of his run: a
			// watermark later than that was not reached by a run.
			last := row.lastRun()
			ours := !env.memory.Committed.IsZero() && !row.watermark.After(env.memory.Committed) || row.watermark.Equal(env.memory.Planned)
			if ours || row.newest == nil || row.watermark.Year() < 2000 || !row.watermark.After(last.Add(-pipeline.CommitLag+time.Second)) {
				return well("last run %s", report.Stamp(last))
			}
			fix := env.command("run")
			if env.memory.Committed.IsZero() { // then only a recount knows since when
				fix = env.command("backfill")
			}
			return warning(fix, "somebody moved the watermark to %s without a roll-up: what lies before it may be missing", report.Stamp(row.watermark)).
				with("the last roll-up ended at %s", report.Stamp(last))
		}}
}
