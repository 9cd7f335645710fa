package fault_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

func TestACrashOfTheServerLosesNothingOfAnInterruptedBackfill(t *testing.T) {
	c := newCluster(t)
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			conn := c.fresh(t)
			seed(t, conn, 1, 1000)
			o := options(t, engine)
			run(t, c.dsn(), o)
			// What is wrong lies before the watermark, which so does not tell whether it was rolled up again.
			exec1(t, conn, "update task_usage_hourly set input_tokens = input_tokens + 1")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o.Observe = func(st *report.State) {
				if st.Slices >= 6 {
					cancel()
				}
			}
			if st := backfill(ctx, t, c.dsn(), o); st.Outcome != report.Interrupted {
				t.Fatalf("outcome %q, want interrupted", st.Outcome)
			}
			c.crash()
			c.start()
			o.Observe = nil
			backfill(t.Context(), t, c.dsn(), o)
			exact(t, c.connect(), "after the crash and the rest of the backfill")
		})
	}
}

func TestAServerThatCrashesDuringAWalkIsWaitedFor(t *testing.T) {
	c := newCluster(t)
	for _, engine := range engines {
		for _, at := range []int64{1, 4, 9} {
			t.Run(fmt.Sprintf("%s/after slice %d", engine, at), func(t *testing.T) {
				seed(t, c.fresh(t), 2, 1000)
				exec1(t, c.connect(), "checkpoint")
				o := options(t, engine)
				o.Observe = atSlice(at, func() {
					before := get[time.Time](t, c.connect(), "select watermark_at from task_usage_hourly_rollup_state")
					c.crash()
					c.start()
					after := get[time.Time](t, c.connect(), "select watermark_at from task_usage_hourly_rollup_state")
					t.Logf("the crash took the watermark back by %s", before.Sub(after))
					truthful(t, c.connect(), "after the crash")
				})
				run(t, c.dsn(), o)
				exact(t, c.connect(), "after the crash and the rest of the run")
			})
		}
	}
}

func TestAFailoverIsFollowed(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			primary := newCluster(t)
			conn := primary.fresh(t)
			seed(t, conn, 3, 1000)
			standby := primary.standby()
			labtest.Until(t, "the standby has all of it", func() error {
				if n := get[int64](t, standby.connect(), "select count(*) from task_usage"); n < 1000 {
					return fmt.Errorf("%d rows", n)
				}
				return nil
			})
			o := options(t, engine)
			o.Observe = atSlice(4, func() {
				primary.crash()
				standby.promote()
				truthful(t, standby.connect(), "after the failover")
			})
			dsn := "postgres://postgres@127.0.0.1:" + primary.port + ",127.0.0.1:" + standby.port + "/" + primary.name + "?target_session_attrs=read-write"
			run(t, dsn, o)
			exact(t, standby.connect(), "on the new primary")
		})
	}
}

func TestTerminatedSessionsAreReplaced(t *testing.T) {
	c := newCluster(t)
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			conn := c.fresh(t)
			seed(t, conn, 4, 1000)
			// In the middle of a slice: every third statement that writes hourly rows ends its own session.
			exec1(t, conn, "create sequence written",
				`create function terminate() returns trigger language plpgsql as $$ begin
					if nextval('written') % 3 = 0 then perform pg_terminate_backend(pg_backend_pid()), pg_sleep(3600); end if;
					return null; end $$`,
				"create trigger terminate after insert on task_usage_hourly for each statement execute function terminate()")
			o := options(t, engine)
			o.FixedSize = 20 // some dozens of slices
			// And between slices: after every fourth that was committed.
			killer, between, last := c.connect(), int64(0), int64(0)
			o.Observe = func(st *report.State) {
				if st.Slices > last && st.Slices%4 == 0 {
					last = st.Slices
					between += get[int64](t, killer, "select count(*) filter (where pg_terminate_backend(pid, 300000)) from pg_stat_activity where application_name = 'multica-rollup/run' and datname = current_database()")
				}
			}
			run(t, c.dsn(), o)
			within := get[int64](t, conn, "select last_value / 3 from written")
			t.Logf("%d sessions were terminated within a slice, %d between two", within, between)
			if within < 5 || between < 5 {
				t.Error("too few sessions were terminated to prove anything")
			}
			exact(t, conn, "after sessions were terminated all along")
			lockFree(t, conn)
		})
	}
}
