package rollup_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

// modest makes a role that may not see what other roles' sessions do, and has the agent log in as it.
func (a *agent) modest() {
	a.t.Helper()
	role := a.db.Name + "_modest"
	exec(a.t, a.db.Conn, "create role "+role+" login")
	a.t.Cleanup(func() {
		exec(a.t, a.db.Conn, "drop owned by "+role)
		exec(a.t, a.db.Conn, "drop role "+role)
	})
	exec(a.t, a.db.Conn, "grant select, insert, update, delete on all tables in schema public to "+role)
	a.as(role)
}

// begin begins a transaction by a statement of the test's, on a connection of its own.
func begin(t testing.TB, db *labtest.DB, sql string) *pgx.Conn {
	t.Helper()
	conn := db.Connect(t)
	exec(t, conn, sql)
	return conn
}

// TestUsageOfATransactionThatCannotBeDatedIsRolledUpWhenItEnds whether it writes before the agent looks or after.
func TestUsageOfATransactionThatCannotBeDatedIsRolledUpWhenItEnds(t *testing.T) {
	for _, engine := range engines {
		for _, hidden := range []bool{true, false} {
			for _, early := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, hidden %t, writes early %t", engine, hidden, early), func(t *testing.T) {
					db := labtest.New(t, lab.Gen272)
					seed(t, db.Conn, lab.Typical(7, 300))
					a := newAgent(t, db, engine)
					a.opts.HorizonDelay = time.Nanosecond
					settings := "set track_activities = off; "
					if hidden {
						a.modest()
						settings = ""
					}
					a.run()
					conn := begin(t, db, settings+"begin")
					if early {
						writeUsage(t, conn)
					}
					a.run()
					a.owes(ledger.HiddenTransaction)
					if !early {
						writeUsage(t, conn)
					}
					a.run()
					a.owes(ledger.HiddenTransaction)
					exec(t, conn, "commit")
					a.run()
					exact(t, db.Conn)
					a.owes()
				})
			}
		}
	}
}

func TestWhereNothingCanBeRememberedATransactionThatCannotBeDatedHoldsTheWatermark(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(7, 300))
	a := newAgent(t, db, "set")
	a.opts.HorizonDelay, a.opts.StateDir = time.Nanosecond, "/dev/null/nowhere"
	was := a.run().Watermark
	conn := begin(t, db, "set track_activities = off; begin")
	writeUsage(t, conn)
	if st := a.run(); !st.Watermark.Equal(was) || st.Held == "" {
		t.Errorf("the watermark %s passed %s", st.Watermark, was)
	}
	exec(t, conn, "commit")
	a.run()
	exact(t, db.Conn)
}

// TestALongReaderDoesNotHoldTheWatermarkBack and is rolled up should it have begun to write.
func TestALongReaderDoesNotHoldTheWatermarkBack(t *testing.T) {
	for _, engine := range engines {
		for _, level := range []string{"read committed", "repeatable read"} {
			t.Run(engine+", "+level, func(t *testing.T) {
				db := labtest.New(t, lab.Gen272)
				seed(t, db.Conn, lab.Typical(8, 300))
				a := newAgent(t, db, engine)
				a.opts.HorizonDelay = time.Nanosecond
				a.run()
				dump := begin(t, db, "begin isolation level "+level+"; select count(*) from task_usage")
				started := get[time.Time](t, dump, "select now()")
				if st := a.run(); !st.Watermark.After(started) || st.Held != "" {
					t.Fatalf("the watermark %s did not pass the reader of %s: held by %q", st.Watermark, started, st.Held)
				}
				a.owes(ledger.OpenTransaction)
				writeUsage(t, dump)
				if st := a.run(); st.Held != "" {
					t.Errorf("held back by %q, which the watermark has passed", st.Held)
				}
				exec(t, dump, "commit")
				a.run()
				exact(t, db.Conn)
				a.owes()
			})
		}
	}
}

// TestUsageThatARepeatableReadMoveHasNotSeenIsRolledUpWhereItWasMovedTo: its snapshot is older than the commit of the
// usage, and it begins to move only after that was rolled up.
func TestUsageThatARepeatableReadMoveHasNotSeenIsRolledUpWhereItWasMovedTo(t *testing.T) {
	for _, young := range []bool{true, false} {
		for _, hidden := range []bool{true, false} {
			t.Run(fmt.Sprintf("young %t, hidden %t", young, hidden), func(t *testing.T) {
				db, a, issue := moved(t)
				a.opts.HorizonDelay = 2 * time.Second
				if hidden {
					a.modest()
				}
				early, started := open(t, db)
				if _, err := early.Exec(context.Background(), useIssue, issue); err != nil {
					t.Fatal(err)
				}
				if young {
					labtest.UntilLater(t, db.Conn, started, a.opts.HorizonDelay)
				}
				move := begin(t, db, "begin isolation level repeatable read; select count(*) from task_usage")
				if err := early.Commit(context.Background()); err != nil {
					t.Fatal(err)
				}
				if !young {
					labtest.UntilLater(t, db.Conn, get[time.Time](t, db.Conn, "select now()"), a.opts.HorizonDelay)
				}
				a.run()
				exec(t, move, moveProject, issue)
				exec(t, move, "commit")
				a.run()
				exact(t, db.Conn)
				a.owes()
			})
		}
	}
}

// TestWhatTheWatermarkHasPassedAlreadyIsDeferredAtOnce also where no slice follows that would remember it.
func TestWhatTheWatermarkHasPassedAlreadyIsDeferredAtOnce(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(9, 300))
	a := newAgent(t, db, "set")
	a.opts.HorizonDelay = time.Nanosecond
	a.run()
	a.opts.StateDir = t.TempDir()
	tx, _ := open(t, db)
	writeUsage(t, tx)
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = clock_timestamp()")
	a.opts.HorizonDelay = time.Hour
	a.run()
	a.owes(ledger.OpenTransaction)
	if err := tx.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	a.run()
	a.opts.HorizonDelay = time.Nanosecond
	a.run()
	exact(t, db.Conn)
	a.owes()
}

// TestABackfillLooksAgainAtWhatIsOpen when half a commit lag has passed by the clock that it is given, and
// remembers what it finds before it goes on.
func TestABackfillLooksAgainAtWhatIsOpen(t *testing.T) {
	for _, passes := range []time.Duration{29 * time.Minute, 30 * time.Minute} {
		t.Run(passes.String(), func(t *testing.T) {
			db, _ := history(t)
			a := newAgent(t, db, "set")
			a.opts.Command, a.opts.FixedSize, a.opts.HorizonDelay = "backfill", 8, time.Hour
			now := time.Now()
			a.opts.Clock = func() time.Time { return now }
			var dump *pgx.Conn
			isDeferred := func() bool {
				return slices.ContainsFunc(a.memory().Deferred, func(d ledger.Deferred) bool { return uint32(d.PID) == dump.PgConn().PID() })
			}
			var second bool // before the second commit it was deferred
			a.opts.Observe = func(st *report.State) {
				switch {
				case st.Slices == 1 && dump == nil:
					dump = begin(t, db, "begin isolation level repeatable read; select count(*) from task_usage")
					now = now.Add(passes)
				case st.Slices == 2 && !second:
					second = true
					if want := passes >= a.opts.HorizonDelay/2; isDeferred() != want {
						t.Errorf("what was opened meanwhile is deferred: %t, want %t", !want, want)
					}
				}
			}
			if st := a.backfillOf(t.Context(), rollup.BackfillOptions{}); st.Outcome != report.Current || !second {
				t.Fatalf("outcome %q after %d slices", st.Outcome, st.Slices)
			}
			exec(t, dump, "commit")
		})
	}
}
