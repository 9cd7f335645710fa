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
			killed := arrive(t, p, dir, engine, func(when string) {
				lockFree(t, db.Conn)
				truthful(t, db.Conn, when)
			})
			exact(t, db.Conn, "in the end")
			// So far, all was rolled up once before it was walked again: that the passes of killed
			// backfills leave nothing out is seen only where each hour needs them.
			if _, err := db.Conn.Exec(t.Context(), "update task_usage_hourly set input_tokens = input_tokens + 1"); err != nil {
				t.Fatal(err)
			}
			again := arrive(t, p, dir, engine, func(string) { lockFree(t, db.Conn) })
			exact(t, db.Conn, "after a backfill that was killed and continued over rows that were wrong")
			t.Logf("killed %d times, and %d", killed, again)
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

// arrive starts backfills, and a tick now and then, and kills them, until one has ended by itself
// after enough kills. It returns how many there were, and checks after each.
func arrive(t *testing.T, p *proxy, dir, engine string, check func(when string)) int {
	t.Helper()
	const enough = 10
	kills := 0
	for n := 1; n <= 300; n++ {
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
			return kills
		}
		check(fmt.Sprintf("%s killed at its statement %d, %s", c.cmd.Args[1], at, f))
	}
	t.Fatalf("it does not arrive, after %d kills", kills)
	return kills
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
