package rollup_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

// The tests of this file have others move the watermark, or transactions end, where it hurts most.

// history makes a database whose usage is one row every half hour of the last
// twelve hours, each with a model of its own, none of them rolled up: the
// watermark stands at the beginning, which is returned. It is an hour's begin.
func history(t testing.TB) (*labtest.DB, time.Time) {
	t.Helper()
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(41, 100))
	exec(t, db.Conn, "truncate task_usage, task_usage_hourly_dirty")
	begin := get[time.Time](t, db.Conn, "select date_trunc('hour', now(), 'UTC') - interval '12 hours'")
	for n := range 24 {
		usageAt(t, db.Conn, "filler", begin.Add(time.Duration(n)*30*time.Minute))
	}
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = $1", begin)
	return db, begin
}

// execer is a connection or a transaction.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// usageAt writes a usage row in a key of its own hour.
func usageAt(t testing.TB, q execer, model string, at time.Time) {
	t.Helper()
	_, err := q.Exec(context.Background(), `insert into task_usage (task_id, provider, model, input_tokens, created_at, updated_at)
		select id, 'p' || extract(epoch from $2::timestamptz), $1, 1, $2, $2 from agent_task_queue where runtime_id is not null order by id limit 1`, model, at)
	if err != nil {
		t.Fatal(err)
	}
}

// correctAt corrects the rows of a model at the given event time.
func correctAt(t testing.TB, q execer, model string, at time.Time) {
	t.Helper()
	if _, err := q.Exec(context.Background(), "update task_usage set input_tokens = input_tokens + 41, updated_at = $2 where model = $1", model, at); err != nil {
		t.Fatal(err)
	}
}

func stampWatermark(t testing.TB, conn *pgx.Conn, at time.Time) {
	t.Helper()
	exec(t, conn, "update task_usage_hourly_rollup_state set watermark_at = $1", at)
}

// step runs a tick in the smallest slices and calls once after the first of them.
func (a *agent) stepThen(once func()) *report.State {
	a.t.Helper()
	a.opts.Observe = func(st *report.State) {
		if st.Slices == 1 && once != nil {
			once()
			once = nil
		}
	}
	defer func() { a.opts.Observe = nil }()
	return a.runInSlicesOf(2)
}

func TestACorrectionOfUsageThatAnothersTickOvertookIsRolledUp(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db, begin := history(t)
			// Created in the stretch that the other passes, corrected in the one that is left to us.
			usageAt(t, db.Conn, "overtaken", begin.Add(3*time.Hour+time.Minute))
			correctAt(t, db.Conn, "overtaken", begin.Add(9*time.Hour))
			a := newAgent(t, db, engine).atOnce()
			a.stepThen(func() { stampWatermark(t, db.Conn, begin.Add(6*time.Hour)) })
			a.run()
			exact(t, db.Conn)
		})
	}
}

func TestAGapBeforeTheBeginningOfABackfillIsRolledUpAgain(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db, begin := history(t)
			a := newAgent(t, db, engine).atOnce()
			// The agent knows the first two hours; then somebody stamps seven more.
			a.opts.HorizonDelay = get[time.Duration](t, db.Conn, "select now() - $1::timestamptz", begin.Add(2*time.Hour))
			a.run()
			stampWatermark(t, db.Conn, begin.Add(9*time.Hour))
			a.atOnce()
			if _, err := a.backfill(rollup.BackfillOptions{From: begin.Add(5 * time.Hour)}, 2, 0); err != nil {
				t.Fatal(err)
			}
			a.opts.Observe = nil
			a.run()
			exact(t, db.Conn)
			a.owes()
		})
	}
}

func TestATransactionThatEndsWhileABackfillIsInterruptedIsRolledUp(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db, _ := history(t)
			a := newAgent(t, db, engine).atOnce()
			tx, started := open(t, db)
			correctAt(t, tx, "filler", started) // rows whose hours the backfill reads first
			st, err := a.backfill(rollup.BackfillOptions{}, 2, 1)
			if err != nil || st.Outcome != report.Interrupted || !st.Watermark.Before(started) {
				t.Fatalf("outcome %q at %s (%v), want an interruption before %s", st.Outcome, st.Watermark, err, started)
			}
			if err := tx.Commit(context.Background()); err != nil {
				t.Fatal(err)
			}
			if _, err := a.backfill(rollup.BackfillOptions{}, 500, 0); err != nil {
				t.Fatal(err)
			}
			a.opts.Observe = nil
			a.run()
			exact(t, db.Conn)
			a.owes()
		})
	}
}

func TestATransactionPreparedBehindOthersTicksStaysOwed(t *testing.T) {
	for _, engine := range engines {
		for _, hold := range []time.Duration{0, time.Hour} {
			t.Run(engine+"/"+hold.String(), func(t *testing.T) {
				db, _ := history(t)
				a := newAgent(t, db, engine).atOnce()
				a.opts.Walk.HorizonHold = hold
				a.run()
				tx, started := open(t, db)
				writeUsage(t, tx)
				stampWatermark(t, db.Conn, get[time.Time](t, db.Conn, "select clock_timestamp()"))
				if _, err := tx.Exec(context.Background(), "prepare transaction 'behind'"); err != nil {
					t.Fatal(err)
				}
				a.run()
				exec(t, db.Conn, "commit prepared 'behind'")
				a.run()
				a.run()
				t.Logf("the transaction began at %s", started)
				exact(t, db.Conn)
				a.owes()
			})
		}
	}
}

func TestAWatermarkInTheFutureWaitsForTheLock(t *testing.T) {
	db, _ := history(t)
	a := newAgent(t, db, "set").atOnce()
	stampWatermark(t, db.Conn, get[time.Time](t, db.Conn, "select now() + interval '1 day'"))
	tx, _ := open(t, db)
	if _, err := tx.Exec(context.Background(), "select pg_advisory_xact_lock(4246)"); err != nil {
		t.Fatal(err)
	}
	a.opts.LockPatience, a.opts.Walk.LockTimeout = 100*time.Millisecond, 50*time.Millisecond
	if st := a.run(); st.Outcome != report.Busy {
		t.Errorf("outcome %q while another has the lock, want busy", st.Outcome)
	}
	if err := tx.Rollback(context.Background()); err != nil {
		t.Fatal(err)
	}
	a.run()
	exact(t, db.Conn)
	if m := a.memory(); len(m.Deferred) > 0 && m.Deferred[0].Kind != ledger.OpenTransaction {
		t.Errorf("owed: %v", m.Deferred)
	}
}

func TestAStampBeyondTheHorizonDuringAWalkIsMadeUpFor(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db, begin := history(t)
			a := newAgent(t, db, engine)
			a.opts.HorizonDelay = get[time.Duration](t, db.Conn, "select now() - $1::timestamptz", begin.Add(8*time.Hour))
			st := a.stepThen(func() { stampWatermark(t, db.Conn, begin.Add(11*time.Hour)) })
			if want := begin.Add(11 * time.Hour); !st.Watermark.Equal(want) {
				t.Errorf("the watermark is reported as %s, want %s", st.Watermark, want)
			}
			a.atOnce().run()
			exact(t, db.Conn)
		})
	}
}
