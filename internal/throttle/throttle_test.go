package throttle_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/throttle"
)

func TestMain(m *testing.M) { labtest.Main(m) }

func newThrottle(t *testing.T, c config.Backfill, now time.Time) (*throttle.Throttle, *strings.Builder) {
	t.Helper()
	var log strings.Builder
	th, err := throttle.New(c, slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return th, &log
}

// reasons waits for at most a moment and returns what was said, and whether the wait ended by itself.
func reasons(t *testing.T, th *throttle.Throttle, conn *pgx.Conn, took time.Duration) (said []string, ended bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := th.Wait(ctx, conn, took, func(reason string) {
		said = append(said, reason)
		if reason != "" && !strings.HasPrefix(reason, "pausing") {
			cancel() // it would wait on; once said is enough
		}
	})
	return said, err == nil
}

func TestEachSignalHoldsBackAndSaysWhy(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local)
	pause := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(pause, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// A session that holds a lock, and two that wait for it: active, and waiting on locks.
	holder, err := db.Connect(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), "select pg_advisory_xact_lock(1)"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	for range 2 {
		conn := db.Connect(t)
		go func() {
			_, err := conn.Exec(context.Background(), "select pg_advisory_lock(1), pg_advisory_unlock(1)")
			done <- err
		}()
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var n int
		if err := db.Conn.QueryRow(t.Context(), "select count(*) from pg_locks where not granted").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody waits on the lock")
		}
	}
	for _, c := range []struct {
		name string
		c    config.Backfill
		want string
	}{
		{"pause file", config.Backfill{PauseFile: pause}, "the pause file " + pause + " is there"},
		{"window", config.Backfill{Window: "22:00-06:00"}, "outside of the window 22:00-06:00"},
		{"active sessions", config.Backfill{MaxActive: 1}, "sessions are active, at most 1 are wanted"},
		{"lock waiters", config.Backfill{MaxLockWaiters: 1}, "2 sessions wait on locks, at most 1 are wanted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			th, log := newThrottle(t, c.c, noon)
			said, ended := reasons(t, th, db.Conn, 0)
			if ended || len(said) == 0 || !strings.Contains(said[0], c.want) {
				t.Errorf("said %q, ended %v; want %q", said, ended, c.want)
			}
			if !strings.Contains(log.String(), "backfill-throttled") {
				t.Errorf("the log has no word of it: %s", log)
			}
		})
	}
	if err := holder.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	th, _ := newThrottle(t, config.Backfill{Window: "11:00-13:00", MaxLockWaiters: 1, MaxReplicaLag: time.Second, PauseFile: pause + "-not-there"}, noon)
	if said, ended := reasons(t, th, db.Conn, time.Second); !ended || len(said) > 0 {
		t.Errorf("with nothing to hold it back it said %q, ended %v", said, ended)
	}
}

func TestTheLongerOfSleepAndNiceIsPaused(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	th, _ := newThrottle(t, config.Backfill{SleepBetweenSlices: time.Millisecond, Nice: 2}, time.Now())
	begun := time.Now()
	said, ended := reasons(t, th, db.Conn, 600*time.Millisecond)
	if paused := time.Since(begun); !ended || paused < 1200*time.Millisecond || len(said) != 2 || !strings.HasPrefix(said[0], "pausing 1.2s") || said[1] != "" {
		t.Errorf("paused for %s, said %q, ended %v; want 1.2 s, said and taken back", paused, said, ended)
	}
}

func TestASignalThatCannotBeReadSaysSoOnceAndHoldsNothingBack(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	if _, err := db.Conn.Exec(t.Context(), "create role blind; revoke select on pg_stat_replication, pg_locks from public"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Conn.Exec(context.Background(), "reset role; drop role blind"); err != nil {
			t.Error(err)
		}
	})
	if _, err := db.Conn.Exec(t.Context(), "set role blind"); err != nil {
		t.Fatal(err)
	}
	th, log := newThrottle(t, config.Backfill{MaxLockWaiters: 1, MaxReplicaLag: time.Second}, time.Now())
	for range 3 {
		if said, ended := reasons(t, th, db.Conn, 0); !ended || len(said) > 0 {
			t.Fatalf("said %q, ended %v; want no wait", said, ended)
		}
	}
	for _, signal := range []string{"sessions waiting on locks", "replica lag"} {
		if n := strings.Count(log.String(), "cannot read the signal "+signal); n != 1 {
			t.Errorf("%d words of the unreadable signal %q, want one", n, signal)
		}
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	th, _ := newThrottle(t, config.Backfill{SleepBetweenSlices: time.Hour}, time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := th.Wait(ctx, db.Conn, 0, func(string) {}); err != context.Canceled {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestWindow(t *testing.T) {
	at := func(clock string) time.Time {
		v, err := time.Parse("15:04", clock)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		window, clock string
		in            bool
	}{
		{"22:00-06:00", "23:30", true}, {"22:00-06:00", "05:59", true}, {"22:00-06:00", "06:00", false}, {"22:00-06:00", "12:00", false}, {"22:00-06:00", "22:00", true},
		{"09:00-17:30", "09:00", true}, {"09:00-17:30", "17:29", true}, {"09:00-17:30", "17:30", false}, {"09:00-17:30", "03:00", false},
	} {
		w, err := throttle.ParseWindow(c.window)
		if err != nil {
			t.Fatal(err)
		}
		if w.Contains(at(c.clock)) != c.in {
			t.Errorf("%s contains %s: %v, want %v", c.window, c.clock, !c.in, c.in)
		}
	}
	for _, bad := range []string{"22-06", "22:00", "25:00-06:00", "22:00-22:00", "always"} {
		if _, err := throttle.ParseWindow(bad); problem.KindOf(err) != problem.Config || problem.HintOf(err) == "" {
			t.Errorf("%q: %v, want a problem of the configuration with a hint", bad, err)
		}
	}
}
