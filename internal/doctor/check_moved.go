package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

// settle is how far every roll-up, ours and others', stays behind the clock.
const settle = 5 * time.Minute

// movedCheck: a migration's hook stamps the watermark without rolling up, so
// what lies between is in no bucket.
func movedCheck() Check {
	return Check{ID: "watermark-moved", Title: "nobody moved the watermark without a roll-up", Needs: []string{"memory"},
		ExplainedBy: []string{"watermark-future", "watermark-epoch", "hourly-empty", "guard", "given-up"}, Run: func(ctx context.Context, env *Env) Finding {
			row, err := env.state(ctx)
			if err != nil {
				return env.unknown(err)
			}
			for _, d := range env.memory.Debts {
				if d.Kind == state.Gap {
					return warning(env.command("run"), "the watermark was moved by others; %s of usage time are still to be rolled up again", report.Duration(d.To.Sub(d.From))).
						with("from %s to %s", report.Stamp(d.From), report.Stamp(d.To))
				}
			}
			// Whoever rolls up to five minutes before his start notes the end of his run: a
			// watermark later than that was not reached by a run.
			last := row.lastRun()
			ours := !env.memory.Truth.IsZero() && !row.watermark.After(env.memory.Truth) || row.watermark.Equal(env.memory.Intent)
			if ours || row.newest == nil || row.watermark.Year() < 2000 || !row.watermark.After(last.Add(-settle+time.Second)) {
				return well("last run %s", report.Stamp(last))
			}
			fix := env.command("run")
			if env.memory.Truth.IsZero() { // then only a recount knows since when
				fix = env.command("backfill")
			}
			return warning(fix, "somebody moved the watermark to %s without a roll-up: what lies before it may be missing", report.Stamp(row.watermark)).
				with("the last roll-up ended at %s", report.Stamp(last))
		}}
}

// debtsCheck: windows behind the watermark that wait for transactions to end.
func debtsCheck() Check {
	return Check{ID: "debts", Title: "nothing is owed", Needs: []string{"memory"}, ExplainedBy: append([]string{"activity"}, stalls...), Run: func(ctx context.Context, env *Env) Finding {
		var open, fallen []state.Debt
		for _, d := range env.memory.Debts {
			if d.Kind == state.Gap {
				continue // told by watermark-moved
			}
			still, err := env.stillOpen(ctx, d)
			if err != nil {
				return env.unknown(err)
			}
			if still {
				open = append(open, d)
			} else {
				fallen = append(fallen, d)
			}
		}
		var f Finding
		switch {
		case len(open) > 0:
			d := open[0]
			fix := env.sql(fmt.Sprintf("select pg_terminate_backend(%d)", d.PID))
			if d.GID != "" {
				fix = Fix{Advice: fmt.Sprintf("end it: commit prepared '%s', or rollback prepared '%s'", d.GID, d.GID)}
			}
			f = warning(fix, "%s outlived the hold: what it commits is rolled up when it has ended", count(int64(len(open)), "transaction", "transactions"))
		case len(fallen) > 0:
			f = warning(env.command("run"), "%s to be rolled up again", count(int64(len(fallen)), "window has", "windows have"))
		default:
			return well("nothing")
		}
		for _, d := range append(open, fallen...) {
			f = f.with("%s", d.Description)
		}
		return f
	}}
}

func (e *Env) stillOpen(ctx context.Context, d state.Debt) (open bool, err error) {
	err = e.get(ctx, []any{&open}, query("debt_open"), d.PID, d.Started, d.GID, d.VirtualTransaction)
	return open, err
}
