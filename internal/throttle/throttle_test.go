package throttle_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
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

// on asks a connection that lasts.
func on(conn *pgx.Conn) func(func(pg.Querier) error) error {
	return func(step func(pg.Querier) error) error { return step(conn) }
}

// reasons returns what was said until it would wait on, and whether the wait ended by itself.
func reasons(t *testing.T, th *throttle.Throttle, conn *pgx.Conn) (said []string, ended bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := th.Wait(ctx, on(conn), func(reason string) {
		said = append(said, reason)
		if reason != "" {
			cancel() // once said is enough
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
	labtest.UntilTrue(t, db.Conn, "two wait for the lock", "select count(*) = 2 from pg_locks where not granted")
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
			said, ended := reasons(t, th, db.Conn)
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
	if said, ended := reasons(t, th, db.Conn); !ended || len(said) > 0 {
		t.Errorf("with nothing to hold it back it said %q, ended %v", said, ended)
	}
}

func TestTheLongerOfSleepAndNiceIsThePause(t *testing.T) {
	th, _ := newThrottle(t, config.Backfill{SleepBetweenSlices: time.Second, Nice: 2}, time.Now())
	for took, want := range map[time.Duration]time.Duration{100 * time.Millisecond: time.Second, 600 * time.Millisecond: 1200 * time.Millisecond} {
		if rest := th.Rest(took); rest != want {
			t.Errorf("after %s the pause is %s, want %s", took, rest, want)
		}
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
		if said, ended := reasons(t, th, db.Conn); !ended || len(said) > 0 {
			t.Fatalf("said %q, ended %v; want no wait", said, ended)
		}
	}
	for _, signal := range []string{"sessions waiting on locks", "replica lag"} {
		if n := strings.Count(log.String(), "cannot read the signal "+signal); n != 1 {
			t.Errorf("%d words of the unreadable signal %q, want one", n, signal)
		}
	}
}

func TestSessionsThatAreHiddenFromTheRoleAreSaidToBe(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	role := "stranger" + strconv.Itoa(os.Getpid())
	if _, err := db.Conn.Exec(t.Context(), "create role "+role); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Conn.Exec(context.Background(), "reset role; drop role "+role); err != nil {
			t.Error(err)
		}
	})
	db.Connect(t) // somebody else
	for want, grant := range []string{"grant pg_read_all_stats to " + role, "revoke pg_read_all_stats from " + role} {
		if _, err := db.Conn.Exec(t.Context(), "reset role; "+grant+"; set role "+role); err != nil {
			t.Fatal(err)
		}
		th, log := newThrottle(t, config.Backfill{MaxActive: 1000}, time.Now())
		for range 3 {
			if said, ended := reasons(t, th, db.Conn); !ended || len(said) > 0 {
				t.Fatalf("said %q, ended %v; want no wait", said, ended)
			}
		}
		if n := strings.Count(log.String(), "cannot read the signal active sessions"); n != want || n != strings.Count(log.String(), "grant pg_read_all_stats") {
			t.Errorf("after %q %d words of hidden sessions, want %d: %s", grant, n, want, log)
		}
	}
}

// sleeping has so many sessions be active until the test ends.
func sleeping(t *testing.T, db *labtest.DB, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, n)
	for range n {
		conn := db.Connect(t)
		go func() {
			_, err := conn.Exec(ctx, "select pg_sleep(3600)")
			done <- err
		}()
	}
	t.Cleanup(func() {
		cancel()
		for range n {
			<-done
		}
	})
	labtest.UntilTrue(t, db.Conn, "they sleep", "select count(*) = "+strconv.Itoa(n)+" from pg_stat_activity where query like 'select pg_sleep(3600)%' and state = 'active'")
}

func TestEverySignalThatCannotBeReadIsNamedWhileAnotherPauses(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	sleeping(t, db, 2)
	role := "purblind" + strconv.Itoa(os.Getpid())
	if _, err := db.Conn.Exec(t.Context(), "create role "+role+" in role pg_read_all_stats; revoke select on pg_stat_replication, pg_locks from public; set role "+role); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Conn.Exec(context.Background(), "reset role; drop role "+role); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	th, log := newThrottle(t, config.Backfill{PauseFile: filepath.Join(file, "pause"), MaxActive: 1, MaxLockWaiters: 1, MaxReplicaLag: time.Second}, time.Now())
	var warned []string
	th.Warn = func(text string) { warned = append(warned, text) }
	for range 3 {
		if said, ended := reasons(t, th, db.Conn); ended || len(said) == 0 || !strings.Contains(said[0], "sessions are active") {
			t.Fatalf("said %q, ended %v; want it to wait for the active sessions", said, ended)
		}
	}
	for i, want := range []string{
		"cannot read the signal pause file (backfill.pause_file), so only what can be read pauses the backfill: stat " + file + "/pause: not a directory",
		"cannot read the signal sessions waiting on locks (backfill.max_lock_waiters), so only what can be read pauses the backfill: ERROR: permission denied for view pg_locks",
		"cannot read the signal replica lag (backfill.max_replica_lag), so only what can be read pauses the backfill: ERROR: permission denied for view pg_stat_replication",
	} {
		if len(warned) <= i || !strings.HasPrefix(warned[i], want) {
			t.Fatalf("warned of\n%s\nwant, as number %d,\n%s", strings.Join(warned, "\n"), i+1, want)
		}
	}
	if n := strings.Count(log.String(), "event=signal-unreadable"); n != 3 || len(warned) != 3 {
		t.Errorf("%d entries and %d warnings, want one of each signal:\n%s", n, len(warned), log)
	}
}

func TestALossIsNotTakenForASignalThatCannotBeRead(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	conn := db.Connect(t)
	if _, err := db.Conn.Exec(t.Context(), "select pg_terminate_backend($1, 10000)", conn.PgConn().PID()); err != nil {
		t.Fatal(err)
	}
	th, log := newThrottle(t, config.Backfill{MaxActive: 1000}, time.Now())
	if _, ended := reasons(t, th, conn); ended || log.Len() > 0 {
		t.Errorf("the wait ended well: %v, and the log says %q; want the loss itself", ended, log)
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	th, _ := newThrottle(t, config.Backfill{Window: "22:00-06:00"}, time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := th.Wait(ctx, on(db.Conn), func(string) {}); err != context.Canceled {
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

func TestWaitersOfAnotherDatabaseDoNotCount(t *testing.T) {
	db, other := labtest.New(t, lab.Gen272), labtest.New(t, lab.Gen272)
	holder, err := other.Connect(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const update = "update task_usage_hourly_rollup_state set last_error = 'x'"
	if _, err := holder.Exec(t.Context(), update); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	for range 2 {
		conn := other.Connect(t)
		go func() {
			_, err := conn.Exec(context.Background(), update)
			done <- err
		}()
	}
	labtest.UntilTrue(t, other.Conn, "two wait for the row", `select count(*) = 2 from pg_locks l join pg_stat_activity a using (pid)
		where not l.granted and a.datname = current_database()`)
	th, _ := newThrottle(t, config.Backfill{MaxLockWaiters: 1}, time.Now())
	if said, ended := reasons(t, th, db.Conn); !ended || len(said) > 0 {
		t.Errorf("said %q, ended %v; want nothing to hold it back", said, ended)
	}
	th, _ = newThrottle(t, config.Backfill{MaxLockWaiters: 1}, time.Now())
	if said, _ := reasons(t, th, other.Conn); len(said) == 0 {
		t.Error("in their own database they do not count either")
	}
	if err := holder.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsNoFileIsRefusedAsThePauseFile(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe, "/dev/zero"} {
		_, err := throttle.New(config.Backfill{PauseFile: path}, slog.New(slog.DiscardHandler), time.Now)
		if problem.KindOf(err) != problem.Config || !strings.Contains(err.Error(), "not a file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
