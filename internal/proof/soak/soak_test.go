// Package soak_test lets the real program live beside a database under load, for
// as long as MULTICA_PROOF_SOAK says (8s; an hour by make soak): a timer's ticks,
// a second host that runs by itself, a backfill that begins again and again, the
// database's own tick, and workspaces that are deleted. It measures what grows and who waits.
package soak_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/proof/witness"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// What the walk promises those who share the database with it. The bounds leave
// room for a busy machine; the figures of a run are in its log.
const (
	timer  = 5 * time.Second
	growth = 1.25    // of the long-lived program's memory, beside slack
	slack  = 6 << 20 // bytes
	bloat  = 4.0     // of the hourly table against the same rows freshly packed, beside roomy
	roomy  = 4 << 20 // bytes
)

func duration(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("MULTICA_PROOF_SOAK")
	if text == "" {
		return 8 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("MULTICA_PROOF_SOAK: %v", err)
	}
	return d
}

// soak is what is under way.
type soak struct {
	t       *testing.T
	db      *labtest.DB
	program string
	ctx     context.Context
	running sync.WaitGroup
	lock    witness.Witness

	mu     sync.Mutex
	counts map[string]int
	most   map[string]time.Duration
	rss    []int64 // of the long-lived program
	files  []int
}

func TestNothingGrowsNobodyWaitsAndNothingIsWrong(t *testing.T) {
	length := duration(t)
	db := labtest.New(t, lab.Gen272)
	shape := lab.Typical(51, 20_000)
	shape.End = time.Now() // so that there is something to do from the beginning
	if _, err := lab.Seed(t.Context(), db.Conn, shape); err != nil {
		t.Fatal(err)
	}
	s := &soak{t: t, db: db, program: filepath.Join(t.TempDir(), "multica-rollup"), counts: map[string]int{}, most: map[string]time.Duration{}}
	if out, err := exec.Command("go", "build", "-o", s.program, "../../../cmd/multica-rollup").CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	s.ctx = ctx
	dirs := []string{t.TempDir(), t.TempDir()}
	begin := s.sizes()
	s.running.Go(func() {
		stats, err := lab.Load(ctx, db.DSN, lab.LoadOptions{Rate: 60, LongTransaction: min(length/4, 90*time.Second)})
		if err != nil {
			t.Errorf("load: %v", err)
		}
		t.Logf("load: %v, %d conflicts, %d long transactions", stats.Done, stats.Conflicts, stats.Long)
	})
	s.running.Go(func() { s.every(timer, "run", func() { s.command(dirs[0], "run") }) })
	s.running.Go(func() {
		s.every(2*timer, "backfill", func() { s.command(dirs[0], "backfill", "--restart", "--nice", "1") })
	})
	s.running.Go(func() { s.secondHost(dirs[1]) })
	s.running.Go(func() { s.databasesTicks() })
	s.running.Go(func() {
		if err := s.lock.Delete(ctx, db.DSN, 700*time.Millisecond); err != nil {
			t.Error(err)
		}
	})
	s.running.Go(func() {
		if err := s.lock.Look(ctx, db.DSN); err != nil {
			t.Error(err)
		}
	})
	s.running.Wait()
	s.report(begin)
	s.judge(dirs)
}

// every does something again and again until the time is over, and measures it.
func (s *soak) every(pause time.Duration, what string, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for s.ctx.Err() == nil {
		began := time.Now()
		do()
		s.count(what, time.Since(began))
		select {
		case <-s.ctx.Done():
		case <-tick.C:
		}
	}
}

func (s *soak) count(what string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[what]++
	s.most[what] = max(s.most[what], took)
}

// command runs the program as the service does. It must end well, or give way to another.
func (s *soak) command(dir string, args ...string) {
	cmd := s.prepare(dir, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	switch code := cmd.ProcessState.ExitCode(); {
	case err == nil:
	case code == 75:
		s.count(args[0]+" gave way", 0)
	case s.ctx.Err() == nil:
		s.t.Errorf("%v: %v: %s", args, err, said.String())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.counts[args[0]+" peak KiB"] = max(s.counts[args[0]+" peak KiB"], int(usage.Maxrss))
	}
}

func (s *soak) prepare(dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(s.ctx, s.program, append(args, "--as-root", "--config", os.DevNull)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Env = append(os.Environ(), "MULTICA_ROLLUP_ENGINE="+cmp.Or(os.Getenv("MULTICA_PROOF_ENGINE"), "set"), "MULTICA_ROLLUP_DSN="+s.db.DSN, "MULTICA_ROLLUP_STATE_DIR="+dir)
	return cmd
}

// secondHost runs by itself all along, and is watched.
func (s *soak) secondHost(dir string) {
	cmd := s.prepare(dir, "run", "--every", timer.String(), "--log-level", "warn")
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		s.t.Error(err)
		return
	}
	s.running.Go(func() {
		s.every(time.Second, "sample", func() { s.sample(cmd.Process.Pid) })
	})
	if err := cmd.Wait(); err != nil && s.ctx.Err() == nil {
		s.t.Errorf("the second host: %v: %s", err, said.String())
	}
	if text := said.String(); strings.Contains(text, "error") {
		s.t.Logf("the second host said: %s", text)
	}
}

// sample notes memory and open files of a process.
func (s *soak) sample(pid int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return // it has ended
	}
	fields := strings.Fields(string(status))
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		s.t.Error(err)
		return
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rss = append(s.rss, pages*int64(os.Getpagesize()))
	s.files = append(s.files, len(fds))
}

func (s *soak) connect() *pgx.Conn {
	conn, err := pgx.Connect(context.Background(), s.db.DSN)
	if err != nil {
		s.t.Error(err)
		s.t.FailNow()
	}
	return conn
}

// databasesTicks are those of a backend that schedules the roll-up itself.
func (s *soak) databasesTicks() {
	conn := s.connect()
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), "set application_name = 'backend'"); err != nil {
		s.t.Error(err)
	}
	s.every(7*time.Second, "database's tick", func() {
		if _, err := conn.Exec(context.Background(), "select rollup_task_usage_hourly()"); err != nil && pg.SQLState(err) == "" {
			s.t.Error(err)
		}
	})
}

// sizes are the bytes of the tables that are written to.
func (s *soak) sizes() map[string]int64 {
	sizes := map[string]int64{}
	for _, table := range []string{"task_usage_hourly", "task_usage_hourly_dirty", "task_usage_hourly_rollup_state"} {
		var n int64
		if err := s.db.Conn.QueryRow(context.Background(), "select pg_total_relation_size($1::text::regclass)", table).Scan(&n); err != nil {
			s.t.Fatal(err)
		}
		sizes[table] = n
	}
	return sizes
}

func (s *soak) report(begin map[string]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for what, n := range s.counts {
		s.t.Logf("%-28s %8d, longest %s", what, n, s.most[what].Round(time.Millisecond))
	}
	for _, name := range []string{witness.Ours + "/run", witness.Ours + "/backfill", "a session without a name", "multica-load", "backend"} {
		h, n := s.lock.LongestHold(name)
		s.t.Logf("lock held by %-26s seen %6d times, longest %s", name, n, h.Took().Round(time.Millisecond))
	}
	for _, line := range s.lock.Account() {
		s.t.Log(line)
	}
	for table, n := range s.sizes() {
		s.t.Logf("%-32s %d KiB, %d KiB in the beginning", table, n>>10, begin[table]>>10)
	}
}

// judge demands what was promised, once everything has ended.
func (s *soak) judge(dirs []string) {
	t := s.t
	if err := s.lock.Verdict(); err != nil {
		t.Error(err)
	}
	if n := len(s.rss); n > 0 {
		early, late := s.rss[n/5], s.rss[n-1]
		t.Logf("resident memory %d KiB, then %d KiB; open files %d, then %d", early>>10, late>>10, s.files[n/5], s.files[n-1])
		if float64(late) > growth*float64(early)+slack {
			t.Errorf("the memory grew from %d to %d bytes", early, late)
		}
		if s.files[n-1] > s.files[n/5]+2 {
			t.Errorf("the open files grew from %d to %d", s.files[n/5], s.files[n-1])
		}
	}
	var left int
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err := s.db.Conn.QueryRow(context.Background(), "select count(*) from pg_stat_activity where application_name like 'multica-rollup%' and datname = current_database()").Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			break
		}
	}
	if left > 0 {
		t.Errorf("%d connections were left behind", left)
	}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) > 4 { // memory, checkpoint, and a lock for each
			t.Errorf("files left in the state directory: %v", entries)
		}
	}
	s.settle(dirs)
	sizes := s.sizes()
	if _, err := s.db.Conn.Exec(context.Background(), "vacuum full task_usage_hourly"); err != nil {
		t.Fatal(err)
	}
	packed := s.sizes()["task_usage_hourly"]
	t.Logf("the hourly table is %d KiB, packed %d KiB", sizes["task_usage_hourly"]>>10, packed>>10)
	if float64(sizes["task_usage_hourly"]) > bloat*float64(packed)+roomy {
		t.Errorf("the hourly table has grown to %d bytes for %d", sizes["task_usage_hourly"], packed)
	}
	if n := sizes["task_usage_hourly_rollup_state"]; n > 2<<20 {
		t.Errorf("the state row takes %d bytes", n)
	}
}

// settle has both agents get current without waiting for five minutes to pass, and asks the oracle.
func (s *soak) settle(dirs []string) {
	s.t.Helper()
	for _, dir := range dirs {
		connector, err := pg.NewConnector(s.db.DSN, "multica-rollup/settle")
		if err != nil {
			s.t.Fatal(err)
		}
		w := rollup.New(connector, rollup.Options{
			Command: "run", Engine: "auto", Known: pipeline.Shipped(), Walk: config.Defaults().Walk, HorizonDelay: time.Microsecond,
			Reconnect: time.Second, LockPatience: 30 * time.Second, StateDir: dir, Log: slog.New(slog.DiscardHandler),
		})
		if err := w.Open(context.Background()); err != nil {
			s.t.Fatal(err)
		}
		for range 2 { // what the first finds owed and still open, the second settles
			if err := w.Run(context.Background()); err != nil {
				s.t.Fatal(err)
			}
		}
		w.Close(context.Background())
	}
	diffs, err := lab.Oracle(context.Background(), s.db.Conn)
	if err != nil {
		s.t.Fatal(err)
	}
	for i, d := range diffs {
		if i < 5 {
			s.t.Log(d)
		}
	}
	if len(diffs) > 0 {
		s.t.Errorf("%d hourly rows differ from the raw usage", len(diffs))
	}
}
