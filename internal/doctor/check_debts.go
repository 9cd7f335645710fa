package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// ordinary is an age up to which what is owed needs nobody: the next runs settle it.
const ordinary = 15 * time.Minute

// debtsCheck: windows behind the watermark that wait for transactions to end.
func debtsCheck() Check {
	return Check{ID: "debts", Title: "nothing is owed", Needs: []string{"memory"}, ExplainedBy: append([]string{"activity"}, stalls...), Run: func(ctx context.Context, env *Env) Finding {
		row, err := env.state(ctx)
		if err != nil {
			return env.unknown(err)
		}
		var open, fallen []ledger.Deferred
		for _, d := range env.memory.Deferred {
			if d.Kind == ledger.Gap {
				continue // told by watermark-moved
			}
			if row.now.Sub(d.Started) < ordinary {
				continue
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
			switch {
			case d.GID != "":
				fix = env.endPrepared(d.GID)
			case d.Several():
				fix = env.sql("select pid, application_name, xact_start from pg_stat_activity where datname = current_database() order by xact_start; " +
					"select * from pg_prepared_xacts")
			}
			f = warning(fix, "%s outlived the hold: what it commits is rolled up when it has ended", count(int64(len(open)), "transaction", "transactions"))
		case len(fallen) > 0:
			f = warning(env.command("run"), "%s to be rolled up again", count(int64(len(fallen)), "window has", "windows have"))
		default:
			return well("nothing for longer than %s", report.Duration(ordinary))
		}
		for _, d := range append(open, fallen...) {
			f = f.with("%s", d.Description)
		}
		return f
	}}
}

func (e *Env) stillOpen(ctx context.Context, d ledger.Deferred) (open bool, err error) {
	err = e.get(ctx, []any{&open}, query("debt_open"), d.PID, d.Started, d.GID, d.VirtualTransaction, d.Kind == ledger.PreparedTransaction)
	return open, err
}
