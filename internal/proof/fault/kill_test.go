package fault_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// TestABackfillKilledAtRandomInstantsArrives kills the real program again and
// again in the middle of a history of many slices, a tick now and then as well.
func TestABackfillKilledAtRandomInstantsArrives(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := labtest.New(t, lab.Gen272)
			tasks := 2000 // the database's function takes its time
			if engine == "set" {
				tasks = 10_000
			}
			if thorough() {
				tasks *= 5
			}
			seed(t, db.Conn, 31, tasks)
			dir := t.TempDir()
			var kills int
			var worst time.Duration
			for n := 1; ; n++ {
				c := newCommand(db.DSN, dir, []string{"backfill", "backfill", "run"}[n%3], "--engine", engine)
				c.cmd.Env = append(c.cmd.Env, "MULTICA_ROLLUP_WALK_SLICE_TARGET=50ms")
				if err := c.cmd.Start(); err != nil {
					t.Fatal(err)
				}
				// Longer from time to time, so that it ends.
				after := time.Duration(rand.IntN(60+n*20)) * time.Millisecond
				timer := time.AfterFunc(after, func() { _ = c.cmd.Process.Kill() })
				err := c.cmd.Wait()
				killed := time.Now()
				if !timer.Stop() {
					kills++
				} else if err != nil {
					t.Fatalf("%v: %s", err, c.stderr.String())
				} else if c.cmd.Args[1] == "backfill" && n > 10 {
					break
				}
				lockFree(t, db.Conn, 2*time.Second)
				worst = max(worst, time.Since(killed))
				truthful(t, db.Conn, fmt.Sprintf("%s killed after %s", c.cmd.Args[1], after))
				if n > 200 {
					t.Fatal("it does not arrive")
				}
			}
			exact(t, db.Conn, "in the end")
			t.Logf("killed %d times; the lock was free at most %s after each", kills, worst)
			left, err := filepath.Glob(filepath.Join(dir, ".*"))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("left in the state directory: %v", left)
		})
	}
}
