package fault_test

import (
	"fmt"
	"math/rand/v2"
	"os"
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
			p := newProxy(t, db.DSN)
			const enough = 10
			var kills int
			arrived := false
			for n := 1; ; n++ {
				c := newCommand(p.dsn, dir, []string{"backfill", "backfill", "run"}[n%3], "--engine", engine)
				c.cmd.Env = append(c.cmd.Env, "MULTICA_ROLLUP_WALK_SLICE_TARGET=50ms")
				// At a statement, not after a time: where that is depends on no machine. Later and
				// later once it was killed often enough, so that it ends.
				reach := 60
				if kills >= enough {
					reach += 20 * n
				}
				at, f := 1+rand.IntN(reach), []fate{passed, unsent, unheard}[rand.IntN(3)]
				p.arrange(at, f, c.kill)
				switch code := c.code(t); {
				case code == -1: // that of a killed program
					kills++
				case code != 0:
					t.Fatalf("%v: exit code %d: %s", c.cmd.Args, code, c.stderr.String())
				case c.cmd.Args[1] == "backfill" && kills >= enough:
					arrived = true
				}
				if arrived {
					break
				}
				lockFree(t, db.Conn)
				truthful(t, db.Conn, fmt.Sprintf("%s killed at its statement %d, %s", c.cmd.Args[1], at, f))
				if n > 300 {
					t.Fatalf("it does not arrive, after %d kills", kills)
				}
			}
			exact(t, db.Conn, "in the end")
			t.Logf("killed %d times", kills)
			// What killed writers left in the state directory goes once it is old enough to be nobody's.
			temporary := filepath.Join(dir, ".*")
			old := time.Now().Add(-24 * time.Hour)
			for _, path := range glob(t, temporary) {
				t.Logf("left in the state directory: %s", path)
				if err := os.Chtimes(path, old, old); err != nil {
					t.Fatal(err)
				}
			}
			must(t, db.DSN, dir, "run", "--engine", engine)
			if left := glob(t, temporary); len(left) > 0 {
				t.Errorf("still in the state directory: %v", left)
			}
		})
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
