// Package fault_test breaks what the walk depends on, at every instant it can
// reach, and asks after each fault whether anything was lost or counted twice,
// whether the watermark still tells the truth, and whether the next run gets current.
//
// MULTICA_PROOF_THOROUGH=1 visits every statement boundary instead of a sample.
package fault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

// program is the real binary, built once.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "multica-rollup-proof-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "multica-rollup")
	if out, err := exec.Command("go", "build", "-o", program, "../../../cmd/multica-rollup").CombinedOutput(); err != nil {
		panic("building the program: " + string(out))
	}
	labtest.Main(m)
	_ = os.RemoveAll(dir) // a temporary directory
}

// thorough says whether every instant is tried instead of a sample.
func thorough() bool { return os.Getenv("MULTICA_PROOF_THOROUGH") != "" }

var engines = []string{"set", "function"}

// options are those of an agent in this process, in slices small enough to see faults between them.
func options(t testing.TB, engine string) rollup.Options {
	t.Helper()
	return rollup.Options{
		Command: "run", Engine: engine, Known: pipeline.Shipped(), Walk: config.Defaults().Walk, FixedSize: 60,
		// Far more than any machine needs: what is to end by patience sets its own.
		Reconnect: labtest.Guard, LockPatience: labtest.Guard, StateDir: t.TempDir(),
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
}

func open(t testing.TB, dsn string, o rollup.Options) *rollup.Walker {
	t.Helper()
	return openWith(t, connect(t, dsn, o.Command), o)
}

func connect(t testing.TB, dsn, command string) *pg.Connector {
	t.Helper()
	connector, err := pg.NewConnector(dsn, "multica-rollup/"+command)
	if err != nil {
		t.Fatal(err)
	}
	return connector
}

// impatient is a connector for the tests in which nothing answers. A minute is the product's own
// patience; this is shorter, and still far beyond what these small statements take anywhere.
func impatient(t testing.TB, dsn, command string) *pg.Connector {
	t.Helper()
	connector := connect(t, dsn, command)
	connector.SetPatience(pg.Patience{Margin: 2 * time.Second, Outside: 8 * time.Second, WholeTable: 8 * time.Second})
	return connector
}

func openWith(t testing.TB, connector *pg.Connector, o rollup.Options) *rollup.Walker {
	t.Helper()
	w := rollup.New(connector, o)
	if err := w.Open(context.Background()); err != nil {
		t.Fatalf("opening: %v", err)
	}
	t.Cleanup(func() { w.Close(context.Background()) })
	return w
}

// run makes a tick that must get current.
func run(t testing.TB, dsn string, o rollup.Options) *report.State {
	t.Helper()
	return runWith(t, connect(t, dsn, o.Command), o)
}

func runWith(t testing.TB, connector *pg.Connector, o rollup.Options) *report.State {
	t.Helper()
	w := openWith(t, connector, o)
	defer w.Close(context.Background())
	if err := w.Run(context.Background()); err != nil {
		t.Fatalf("run: %v", err)
	}
	if st := w.State(); st.Outcome != report.Current {
		t.Fatalf("outcome %q, want current", st.Outcome)
	}
	return w.State()
}

// backfill carries a backfill out as far as ctx lets it.
func backfill(ctx context.Context, t testing.TB, dsn string, o rollup.Options) *report.State {
	t.Helper()
	return backfillWith(ctx, t, connect(t, dsn, "backfill"), o)
}

func backfillWith(ctx context.Context, t testing.TB, connector *pg.Connector, o rollup.Options) *report.State {
	t.Helper()
	o.Command = "backfill"
	w := openWith(t, connector, o)
	defer w.Close(context.Background())
	plan, err := w.PlanBackfill(ctx, rollup.BackfillOptions{})
	if err == nil {
		err = w.Backfill(ctx, plan, rollup.BackfillOptions{})
	}
	if err != nil {
		t.Fatalf("backfill: %v", err)
	}
	return w.State()
}

// atSlice returns an Observe that calls fault once, after the n-th slice.
func atSlice(n int64, fault func()) func(*report.State) {
	done := false
	return func(st *report.State) {
		if st.Slices >= n && !done {
			done = true
			fault()
		}
	}
}

// command is the real program on a database, with a state directory of its own.
type command struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	started        chan struct{}
}

func newCommand(dsn, dir string, args ...string) *command {
	c := &command{cmd: exec.Command(program, append(args, "--as-root", "--config", os.DevNull)...), started: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), "MULTICA_ROLLUP_DSN="+dsn, "MULTICA_ROLLUP_STATE_DIR="+dir)
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	return c
}

// code runs the program to its end and returns its exit code.
func (c *command) code(t testing.TB) int {
	t.Helper()
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	close(c.started)
	err := c.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.cmd.ProcessState.ExitCode()
}

// kill kills the program, which code has started or is about to.
func (c *command) kill() {
	<-c.started
	_ = c.cmd.Process.Kill() // an error means that it has ended already
}

// must runs the program and demands that it ends well.
func must(t testing.TB, dsn, dir string, args ...string) {
	t.Helper()
	c := newCommand(dsn, dir, args...)
	if code := c.code(t); code != 0 {
		t.Fatalf("%v: exit code %d: %s", args, code, c.stderr.String())
	}
}

func exec1(t testing.TB, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func get[T any](t testing.TB, conn *pgx.Conn, sql string) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(context.Background(), sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func seed(t testing.TB, conn *pgx.Conn, n uint64, tasks int) {
	t.Helper()
	if _, err := lab.Seed(context.Background(), conn, lab.Typical(n, tasks)); err != nil {
		t.Fatalf("seeding: %v", err)
	}
}

// truthful demands that everything before the watermark is rolled up.
func truthful(t testing.TB, conn *pgx.Conn, when string) {
	t.Helper()
	mark := get[time.Time](t, conn, "select watermark_at from task_usage_hourly_rollup_state")
	diffs, err := lab.OracleBefore(context.Background(), conn, mark)
	same(t, diffs, err, when+": before the watermark "+mark.UTC().String())
}

// exact demands that the hourly table is what the raw rows say.
func exact(t testing.TB, conn *pgx.Conn, when string) {
	t.Helper()
	diffs, err := lab.Oracle(context.Background(), conn)
	same(t, diffs, err, when)
}

func same(t testing.TB, diffs []lab.Diff, err error, when string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range diffs {
		if i == 3 {
			break
		}
		t.Log(d)
	}
	if len(diffs) > 0 {
		t.Fatalf("%s, %d hourly rows differ from the raw usage", when, len(diffs))
	}
}

// lockFree waits until nobody holds lock 4246. How long that takes is the product's business and
// the machine's; that nobody lets go of it at all is what the wait cannot survive.
func lockFree(t testing.TB, conn *pgx.Conn) {
	t.Helper()
	labtest.Until(t, "lock 4246 is free", func() error {
		list, err := pg.LockSessions(context.Background(), conn)
		if err == nil && len(list) > 0 {
			err = fmt.Errorf("there are %v", list)
		}
		return err
	})
}
