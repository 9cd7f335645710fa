package rollup_test

import (
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// standby is an agent beside a database that somebody else rolls up.
func standby(t *testing.T, engine string) (*agent, *labtest.DB) {
	t.Helper()
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(21, 400))
	if err := lab.RollUp(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	a := newAgent(t, db, engine)
	a.opts.StandbyLag = 15 * time.Minute
	a.run() // which meets the database
	return a, db
}

// corrected makes one usage row an event of the given age.
func corrected(t *testing.T, db *labtest.DB, age string) {
	t.Helper()
	exec(t, db.Conn, "update task_usage set input_tokens = input_tokens + 1, updated_at = now() - $1::interval where id = (select id from task_usage order by id limit 1)", age)
}

func debts(t *testing.T, a *agent) []ledger.Deferred {
	t.Helper()
	m, err := a.walker().Store().Load()
	if err != nil {
		t.Fatal(err)
	}
	return m.Deferred
}

func TestAStandbyLeavesItToOthersAsLongAsTheyKeepUp(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			a, db := standby(t, engine)
			exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = now() - interval '9 minutes', last_run_finished_at = now() - interval '4 minutes'")
			corrected(t, db, "7 minutes")
			before := watermark(t, db.Conn)
			if st := a.run(); st.Outcome != report.StandingBy || st.Rows != 0 || len(st.Warnings) > 0 || !watermark(t, db.Conn).Equal(before) {
				t.Fatalf("outcome %q with %d rows, warnings %q; want it to stand by", st.Outcome, st.Rows, st.Warnings)
			}
			exec(t, db.Conn, "select rollup_task_usage_hourly()")
			if st := a.run(); st.Outcome != report.StandingBy || !strings.HasPrefix(st.Line(), "standing by") {
				t.Errorf("after the other's run: outcome %q, %s", st.Outcome, st.Line())
			}
			if owed := debts(t, a); len(owed) > 0 {
				t.Errorf("what the other rolled up is owed: %v", owed)
			}
			exact(t, db.Conn)
		})
	}
}

func TestAStandbyTakesOverAndSaysSo(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			a, db := standby(t, engine)
			exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = now() - interval '16 minutes', last_run_finished_at = now() - interval '11 minutes'")
			corrected(t, db, "6 minutes")
			st := a.run()
			if st.Outcome != report.Current || len(st.Warnings) != 1 || !strings.Contains(st.Warnings[0], "this standby takes over") {
				t.Fatalf("outcome %q, warnings %q; want it to take over", st.Outcome, st.Warnings)
			}
			exact(t, db.Conn)
			if st := a.run(); st.Outcome != report.StandingBy {
				t.Errorf("the next tick: outcome %q, want it to stand by again", st.Outcome)
			}
		})
	}
}

func TestAStandbyTakesNoPartInAnIdleDatabase(t *testing.T) {
	a, db := standby(t, "set")
	exec(t, db.Conn, "update task_usage set updated_at = now() - interval '4 days'")
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = now() - interval '3 days'")
	if st := a.run(); st.Outcome != report.StandingBy {
		t.Errorf("outcome %q, want it to stand by where nothing waits", st.Outcome)
	}
}

func TestAStandbyMendsAWatermarkThatWasOnlyStamped(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			a, db := standby(t, engine)
			exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = now() - interval '14 minutes', last_run_finished_at = now() - interval '9 minutes'")
			a.run()
			corrected(t, db, "7 minutes")
			exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = now() - interval '5 minutes'")
			if st := a.run(); st.Outcome != report.StandingBy {
				t.Errorf("outcome %q, want it to stand by", st.Outcome)
			}
			exact(t, db.Conn)
			if owed := debts(t, a); len(owed) > 0 {
				t.Errorf("still owed: %v", owed)
			}
		})
	}
}

func TestAStandbyPaysWhatItOwes(t *testing.T) {
	a, db := standby(t, "set")
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set last_run_finished_at = now()")
	a.run()
	corrected(t, db, "3 hours") // a late commit of a transaction that has ended
	at := get[time.Time](t, db.Conn, "select updated_at from task_usage order by id limit 1")
	err := a.walker().Store().Update(func(m *ledger.Memory) {
		m.Defer(ledger.Deferred{Kind: ledger.OpenTransaction, From: at, To: at.Add(time.Microsecond), PID: 1, Started: at})
	})
	if err != nil {
		t.Fatal(err)
	}
	if st := a.run(); st.Outcome != report.StandingBy || st.Debts != 0 {
		t.Errorf("outcome %q, %d debts; want it to stand by and owe nothing", st.Outcome, st.Debts)
	}
	exact(t, db.Conn)
}
