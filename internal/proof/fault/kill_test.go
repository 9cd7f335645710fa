package fault_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
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
				tasks = 30_000 // more usage rows than the first slice has, which is made without a measure
			}
			if thorough() {
				tasks *= 5
			}
			seed(t, db.Conn, 31, tasks)
			dir := t.TempDir()
			p := newProxy(t, db.DSN)
			t.Logf("killed %d times", arrive(t, p, db.Conn, dir, engine))
			exact(t, db.Conn, "in the end")
			// So far, all was rolled up once before it was walked again: that the passes of killed
			// backfills leave nothing out is seen only where each hour needs them.
			again(t, p, db.Conn, dir, engine)
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
// after enough kills. It returns how many there were.
func arrive(t *testing.T, p *proxy, conn *pgx.Conn, dir, engine string) int {
	t.Helper()
	const enough = 10
	kills := 0
	for n := 1; n <= 300; n++ {
		command := []string{"backfill", "backfill", "run"}[n%3]
		// At a statement, not after a time: where that is depends on no machine. Later and
		// later once it was killed often enough, so that it ends.
		reach := 60
		if kills >= enough {
			reach += 20 * n
		}
		killed, when := tried(t, p, dir, reach, command, "--engine", engine)
		if killed {
			kills++
		} else if command == "backfill" && kills >= enough {
			return kills
		}
		lockFree(t, conn)
		truthful(t, conn, when)
	}
	t.Fatalf("it does not arrive, after %d kills", kills)
	return kills
}

// again makes every row wrong and has backfills repair them, until two were killed in the middle
// of their pass and continued to its end.
func again(t *testing.T, p *proxy, conn *pgx.Conn, dir, engine string) {
	t.Helper()
	reach := 100 // some are killed before their first slice, some after their last
	for n, continued, midway := 1, 0, false; continued < 2; n++ {
		if n > 300 {
			t.Fatalf("%d of %d backfills were killed in the middle", continued, n)
		}
		if place := left(t, dir); place.Done == 0 { // else nothing walks again what has been done
			if _, err := conn.Exec(t.Context(), "update task_usage_hourly set input_tokens = input_tokens + 1"); err != nil {
				t.Fatal(err)
			}
		}
		killed, when := tried(t, p, dir, reach, "backfill", "--engine", engine)
		lockFree(t, conn)
		switch {
		case killed:
			place := left(t, dir)
			midway = midway || place.Done > 0 && place.Cursor.Before(place.PassTo)
			reach += 20 // later and later, so that it ends
			continue
		case midway:
			continued++
		}
		midway, reach = false, 100
		t.Logf("the %dth: %s", n, when)
		exact(t, conn, when+", over rows that were wrong")
	}
}

// tried runs the program and kills it at one of its first statements, if it comes to that one.
func tried(t *testing.T, p *proxy, dir string, reach int, args ...string) (killed bool, when string) {
	t.Helper()
	c := newCommand(p.dsn, dir, args...)
	c.cmd.Env = append(c.cmd.Env, "MULTICA_ROLLUP_WALK_SLICE_TARGET=50ms")
	at, f := 1+rand.IntN(reach), []fate{passed, unsent, unheard}[rand.IntN(3)]
	p.arrange(at, f, c.kill)
	switch code := c.code(t); code {
	case -1: // that of a killed program
		return true, fmt.Sprintf("%s killed at its statement %d, %s", args[0], at, f)
	case 0:
	default:
		t.Fatalf("%v: exit code %d: %s", c.cmd.Args, code, c.stderr.String())
	}
	return false, args[0] + " ended by itself"
}

// left returns what a backfill noted of its unfinished pass; zero where there is none.
func left(t *testing.T, dir string) (place ledger.Checkpoint) {
	t.Helper()
	for _, path := range glob(t, filepath.Join(dir, "*.backfill.json")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &place); err != nil {
			t.Fatal(err)
		}
	}
	return place
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
