package rollup_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

func watermark(t testing.TB, conn *pgx.Conn) time.Time {
	t.Helper()
	return get[time.Time](t, conn, "select watermark_at from task_usage_hourly_rollup_state")
}

func TestAGapLeftByOthersIsRolledUpAgain(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, lab.Typical(11, 500))
			// The agent knows the first half; then somebody stamps the watermark without rolling up.
			exec(t, db.Conn, "update task_usage set created_at = created_at, updated_at = now() + interval '10 years' where id in (select id from task_usage order by created_at desc limit 200)")
			a := newAgent(t, db, engine).atOnce()
			a.run()
			exec(t, db.Conn, "update task_usage set updated_at = now() where updated_at > now()")
			exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = now()")
			a.run()
			exact(t, db.Conn)
			a.owes()
		})
	}
}

func TestADatabaseRestoredToAnEarlierWatermarkIsFollowed(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(12, 500))
	a := newAgent(t, db, "set")
	a.run()
	exec(t, db.Conn, "truncate task_usage_hourly")
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = '1970-01-01 00:00:00+00'")
	a.run()
	exact(t, db.Conn)
}

func TestAWatermarkInTheFutureGoesBackToTheLastTruth(t *testing.T) {
	for _, known := range []bool{true, false} {
		db := labtest.New(t, lab.Gen272)
		seed(t, db.Conn, lab.Typical(13, 300))
		a := newAgent(t, db, "set").atOnce()
		if known {
			a.run()
		}
		exec(t, db.Conn, "update task_usage set input_tokens = input_tokens + 1, updated_at = now() where id in (select id from task_usage limit 50)")
		exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = now() + interval '2 days'")
		st := a.run()
		if len(st.Warnings) != 1 || !strings.Contains(st.Warnings[0], "in the future") {
			t.Errorf("warnings %q, want one about the future", st.Warnings)
		}
		if mark, now := watermark(t, db.Conn), get[time.Time](t, db.Conn, "select now()"); mark.After(now) {
			t.Errorf("the watermark %s still lies in the future", mark)
		}
		exact(t, db.Conn)
	}
}

func TestAnInfiniteWatermarkIsMended(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(14, 300))
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = 'infinity'")
	newAgent(t, db, "set").run()
	exact(t, db.Conn)
}

func TestTheDatabasesOwnTickBesideOursHarmsNothing(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(15, 300))
	a := newAgent(t, db, "set")
	a.opts.HorizonDelay = 20 * time.Minute
	a.run()
	for range 3 {
		exec(t, db.Conn, "update task_usage set output_tokens = output_tokens + 1, updated_at = watermark_at + interval '1 millisecond' from task_usage_hourly_rollup_state s where task_usage.id in (select id from task_usage order by random() limit 20)")
		time.Sleep(5 * time.Millisecond) // so that those corrections come due
		exec(t, db.Conn, "select rollup_task_usage_hourly()")
		a.run()
	}
	exact(t, db.Conn)
	a.opts.HorizonDelay = 0
	a.run()
	exact(t, db.Conn)
}

func TestARunThatCannotGetTheLockSaysWhoHasItAndEndsWell(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, lab.Typical(16, 200))
			tx, _ := open(t, db)
			if _, err := tx.Exec(context.Background(), "select pg_advisory_xact_lock(4246), set_config('application_name', 'the-other', false)"); err != nil {
				t.Fatal(err)
			}
			a := newAgent(t, db, engine)
			a.opts.LockPatience = 100 * time.Millisecond
			a.opts.Walk.LockTimeout = 100 * time.Millisecond
			st := a.run()
			if st.Outcome != report.Busy || !strings.Contains(st.Holder, "the-other") || !strings.Contains(st.Holder, "user postgres") {
				t.Errorf("outcome %q, holder %q; want busy and the holder's name", st.Outcome, st.Holder)
			}
			if err := tx.Rollback(context.Background()); err != nil {
				t.Fatal(err)
			}
			a.run()
			exact(t, db.Conn)
		})
	}
}

func TestAnInterruptedRunLeavesACleanState(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, lab.Typical(17, 3000))
			a := newAgent(t, db, engine)
			for i := range 12 {
				// Interrupted by what it says of itself, before its first slice or after one or two, not by the clock.
				ctx, cancel := context.WithCancel(t.Context())
				a.opts.Observe = func(st *report.State) {
					if st.Slices >= int64(i)%3 && (i%2 == 0 || st.Phase == report.Walking) {
						cancel()
					}
				}
				a.opts.FixedSize = 20 // so that twelve interruptions do not bring it to its end
				w := a.walker()
				err := w.Run(ctx)
				cancel()
				if err != nil {
					t.Fatalf("an interrupted run failed: %v", err)
				}
				if st := w.State(); st.Outcome != report.Interrupted {
					t.Fatalf("outcome %q after %d slices, want interrupted", st.Outcome, st.Slices)
				}
				w.Close(context.Background())
				mark := watermark(t, db.Conn)
				if diffs, err := lab.OracleBefore(t.Context(), db.Conn, mark); err != nil || len(diffs) > 0 {
					t.Fatalf("interrupted at watermark %s: %d hourly rows are wrong (%v)", mark, len(diffs), err)
				}
			}
			a.opts.Observe = nil
			a.run()
			exact(t, db.Conn)
		})
	}
}

func TestAFailedRunIsKeptInTheStateRow(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(18, 200))
	exec(t, db.Conn, "alter table task_usage_hourly add constraint no_more check (input_tokens < 0) not valid")
	a := newAgent(t, db, "set")
	w := a.walker()
	if err := w.Run(t.Context()); err == nil || w.State().Outcome != report.Failed {
		t.Fatalf("run: %v, outcome %q; want a failure", err, w.State().Outcome)
	}
	if kept := get[string](t, db.Conn, "select last_error from task_usage_hourly_rollup_state"); !strings.Contains(kept, "no_more") {
		t.Errorf("last_error is %q, want the constraint's name in it", kept)
	}
	exec(t, db.Conn, "alter table task_usage_hourly drop constraint no_more")
	a.run()
	if kept := get[*string](t, db.Conn, "select last_error from task_usage_hourly_rollup_state"); kept != nil {
		t.Errorf("last_error is still %q after a good run", *kept)
	}
	exact(t, db.Conn)
}

func TestTheLockIsFreeSoonAfterAClientIsLostWhateverItsStatementTakes(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(19, 200))
	// The slice is made to last: its statement sleeps in a trigger.
	exec(t, db.Conn, `create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(3600); return new; end'`)
	exec(t, db.Conn, "create trigger slow before insert on task_usage_hourly for each statement execute function slow()")
	connector, err := pg.NewConnector(db.DSN, "multica-rollup/lost")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := connector.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- pg.InTx(context.Background(), conn, pg.TxSettings{LockTimeout: labtest.Guard}, func(tx pgx.Tx) error {
			if err := pg.Lock(context.Background(), tx); err != nil {
				return err
			}
			_, err := tx.Exec(context.Background(), "insert into task_usage_hourly (bucket_hour, workspace_id, runtime_id, agent_id, provider, model) select now(), id, id, id, '', '' from gen_random_uuid() id")
			return err
		})
	}()
	waitFor(t, "the lock is held", func() bool { return len(sessions(t, db.Conn)) == 1 })
	// As a killed process or a dead host would: the socket goes, nobody says goodbye.
	if err := conn.PgConn().Conn().Close(); err != nil {
		t.Fatal(err)
	}
	// The statement would take an hour: only the server's look at its client ends it sooner.
	waitFor(t, "the lock is free", func() bool { return len(sessions(t, db.Conn)) == 0 })
	if err := <-done; err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("the lost client's slice ended with %v", err)
	}
}

func sessions(t testing.TB, conn *pgx.Conn) []pg.LockSession {
	t.Helper()
	list, err := pg.LockSessions(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	labtest.Until(t, what, func() error {
		if !ok() {
			return errors.New("not yet")
		}
		return nil
	})
}
