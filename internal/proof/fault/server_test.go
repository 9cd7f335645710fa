package fault_test

import (
	"context"
	"fmt"
	"testing"
	"time"

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
			eventually(t, "the standby has all of it", func() error {
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
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan int)
			killer := c.connect()
			o := options(t, engine)
			o.Reconnect = time.Minute
			o.FixedSize = 20 // some dozens of slices, so that it does not end before its sessions do
			o.Observe = atSlice(1, func() {
				go func() {
					var ended int
					for ctx.Err() == nil && ended < 20 {
						var n int
						if killer.QueryRow(ctx, "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'multica-rollup/run'").Scan(&n) == nil {
							ended += n
						}
						time.Sleep(20 * time.Millisecond)
					}
					done <- ended
				}()
			})
			run(t, c.dsn(), o)
			stop()
			if ended := <-done; ended == 0 {
				t.Error("no session was terminated")
			}
			exact(t, conn, "after sessions were terminated all along")
			lockFree(t, conn, time.Second)
		})
	}
}
