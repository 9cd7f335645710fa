package rollup_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

func TestAFreshInstallIsCurrentAfterOneRun(t *testing.T) {
	for _, gen := range []lab.Generation{lab.Gen102, lab.Gen213, lab.Gen272, lab.GenInterrupted} {
		for _, engine := range engines {
			t.Run(string(gen)+"/"+engine, func(t *testing.T) {
				db := labtest.New(t, gen)
				seed(t, db.Conn, lab.Typical(1, 2000))
				st := newAgent(t, db, engine).run()
				if st.Outcome != report.Current || st.Engine != engine {
					t.Fatalf("outcome %q by engine %q, want current by %q", st.Outcome, st.Engine, engine)
				}
				exact(t, db.Conn)
				mark := get[time.Time](t, db.Conn, "select watermark_at from task_usage_hourly_rollup_state")
				now := get[time.Time](t, db.Conn, "select now()")
				if age := now.Sub(mark); age < 5*time.Minute || age > 6*time.Minute {
					t.Errorf("the watermark is %s old, want the horizon's five minutes", age)
				}
				if err := lab.GuardVerdict(t.Context(), db.Conn); gen == lab.GenInterrupted && err != nil {
					t.Errorf("migration 103's guard still refuses: %v", err)
				}
			})
		}
	}
}

func TestALockThatIsAlwaysWantedByOthersIsNoFailureOfTheFunctionEngine(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(7, 300))
	a := newAgent(t, db, "function")
	a.opts.LockPatience = 2 * time.Second // all of which is waited out
	w := a.walker()
	ctx, stop := context.WithCancel(context.Background())
	var others sync.WaitGroup
	for range 3 { // one holds it, the others wait: whoever lets go of it finds it taken
		conn := db.Connect(t)
		others.Go(func() {
			for ctx.Err() == nil {
				if _, err := conn.Exec(context.Background(), "select pg_advisory_lock(4246), pg_sleep(0.03)"); err != nil {
					t.Error(err)
					return
				}
				if _, err := conn.Exec(context.Background(), "select pg_advisory_unlock(4246)"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	err := w.Run(context.Background())
	stop()
	others.Wait()
	if st := w.State(); err != nil || st.Outcome != report.Busy {
		t.Errorf("outcome %q, error %v; want busy and none", st.Outcome, err)
	}
}
