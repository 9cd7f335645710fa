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
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// ends runs the program and demands an exit code and, in what it says, all of the words.
func ends(t *testing.T, c *command, code int, words ...string) {
	t.Helper()
	got := c.code(t)
	said := c.stdout.String() + c.stderr.String()
	if got != code {
		t.Errorf("exit code %d, want %d: %s", got, code, said)
	}
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("it does not say %q: %s", word, said)
		}
	}
}

func TestASliceThatIsTooSlowFailsWithItsRange(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, 21, 300)
			exec1(t, db.Conn, "create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(3600); return null; end'",
				"create trigger slow after insert on task_usage_hourly for each statement execute function slow()")
			dir := t.TempDir()
			c := newCommand(db.DSN, dir, "run", "--engine", engine)
			c.cmd.Env = append(c.cmd.Env, "MULTICA_ROLLUP_WALK_STATEMENT_TIMEOUT=1s", "MULTICA_ROLLUP_WALK_SLICE_TARGET=500ms")
			ends(t, c, 1, "does not end within 1s", "cannot be cut any smaller", "hint: raise walk.statement_timeout")
			truthful(t, db.Conn, "after the timeout")
			lockFree(t, db.Conn)
			if kept := get[string](t, db.Conn, "select last_error from task_usage_hourly_rollup_state"); !strings.Contains(kept, "does not end within 1s") {
				t.Errorf("last_error is %q", kept)
			}
			exec1(t, db.Conn, "drop trigger slow on task_usage_hourly")
			must(t, db.DSN, dir, "run", "--engine", engine)
			exact(t, db.Conn, "after the next run")
		})
	}
}

func TestALockedTableMakesTheTickGiveWay(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, 22, 300)
			other := db.Connect(t)
			exec1(t, other, "begin", "lock table task_usage_hourly in access exclusive mode")
			o := options(t, engine)
			o.Walk.LockTimeout, o.LockPatience = 100*time.Millisecond, time.Second
			w := open(t, db.DSN, o)
			if err := w.Run(t.Context()); err != nil || w.State().Outcome != report.Busy {
				t.Errorf("outcome %q, %v; want busy", w.State().Outcome, err)
			}
			lockFree(t, db.Conn)
			exec1(t, other, "rollback")
			run(t, db.DSN, o)
			exact(t, db.Conn, "after the lock")
		})
	}
}

// TestADeadlockIsTriedAgain has somebody change hourly rows first and ask for
// lock 4246 then, the wrong way round, and the agent be the one that is refused.
func TestADeadlockIsTriedAgain(t *testing.T) {
	t.Parallel()
	db := labtest.New(t, lab.Gen272)
	exec1(t, db.Conn, "alter database "+db.Name+" set deadlock_timeout = '50ms'")
	seed(t, db.Conn, 23, 300)
	o := options(t, "set")
	o.Walk.LockTimeout = labtest.Guard
	run(t, db.DSN, o)
	exec1(t, db.Conn, "update task_usage set input_tokens = input_tokens + 1", "update task_usage_hourly_rollup_state set watermark_at = '1970-01-01 00:00:00+00'")
	wrong, holder := db.Connect(t), db.Connect(t)
	exec1(t, wrong, "set deadlock_timeout = '10min'", "begin", "update task_usage_hourly set updated_at = now()")
	exec1(t, holder, "begin", "select pg_advisory_xact_lock(4246)")
	ran, asked := make(chan error, 1), make(chan error, 1)
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w := open(t, db.DSN, o)
	go func() { ran <- w.Run(context.Background()) }()
	labtest.Until(t, "the agent waits for the lock", func() error { return sessions(db.Conn, 2) })
	go func() {
		_, err := wrong.Exec(context.Background(), "select pg_advisory_xact_lock(4246); commit")
		asked <- err
	}()
	labtest.Until(t, "the other waits behind it", func() error { return sessions(db.Conn, 3) })
	exec1(t, holder, "rollback")
	if err := errors.Join(<-ran, <-asked); err != nil || w.State().Outcome != report.Current {
		t.Fatalf("outcome %q, %v; want both to end well", w.State().Outcome, err)
	}
	exact(t, db.Conn, "after the deadlock")
	if !strings.Contains(log.String(), "deadlock detected") {
		t.Errorf("the agent was not the one refused: %s", log.String())
	}
}

// sessions waits until so many sessions hold lock 4246 or wait for it.
func sessions(conn *pgx.Conn, want int) error {
	list, err := pg.LockSessions(context.Background(), conn)
	if err == nil && len(list) < want {
		err = fmt.Errorf("%d sessions hold lock 4246 or wait for it, want %d", len(list), want)
	}
	return err
}

// TestAStateDirectoryWithoutRoom has the directory on a file system of a few
// pages, in a mount namespace of the program's own.
func TestAStateDirectoryWithoutRoom(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, 24, 300)
			dir := t.TempDir()
			inside := func(script string) *command {
				c := newCommand(db.DSN, dir)
				args := []string{"--mount", "sh", "-euc", "mount -t tmpfs -o size=16k tmpfs \"$MULTICA_ROLLUP_STATE_DIR\"\nrun() { " + program + " run --as-root --config " + os.DevNull + " --engine " + engine + "; }\n" + script}
				if os.Geteuid() != 0 {
					args = append([]string{"--user", "--map-root-user"}, args...)
				}
				c.cmd.Path, c.cmd.Args = lookUp(t, "unshare"), append([]string{"unshare"}, args...)
				return c
			}
			t.Run("full", func(t *testing.T) {
				ends(t, inside(`head -c 1M /dev/zero > "$MULTICA_ROLLUP_STATE_DIR/ballast" 2>/dev/null || :
run`), 0, "nothing can be remembered between runs", "no space left on device")
				exact(t, db.Conn, "with the state directory full")
				lockFree(t, db.Conn)
			})
			t.Run("full and freed", func(t *testing.T) {
				exec1(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = '1970-01-01 00:00:00+00'")
				ends(t, inside(`head -c 1M /dev/zero > "$MULTICA_ROLLUP_STATE_DIR/ballast" 2>/dev/null || :
run; rm "$MULTICA_ROLLUP_STATE_DIR/ballast"
run; ls -A "$MULTICA_ROLLUP_STATE_DIR" | wc -l | grep -qx 2`), 0)
				exact(t, db.Conn, "with room again")
			})
			t.Run("read-only", func(t *testing.T) {
				exec1(t, db.Conn, "truncate task_usage_hourly", "update task_usage_hourly_rollup_state set watermark_at = '1970-01-01 00:00:00+00'")
				ends(t, inside(`mount -o remount,bind,ro "$MULTICA_ROLLUP_STATE_DIR"; run`), 0, "nothing can be remembered between runs")
				exact(t, db.Conn, "with nowhere to remember anything")
			})
		})
	}
}

func lookUp(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v (apt-get install util-linux)", err)
	}
	return path
}

func TestARestartedPgBouncerIsWaitedFor(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			c := newCluster(t)
			conn := c.fresh(t)
			seed(t, conn, 25, 500)
			b := newBouncer(t, c)
			o := options(t, engine)
			o.Observe = atSlice(3, b.restart)
			run(t, b.dsn(), o)
			exact(t, conn, "after PgBouncer was killed and started again")
			lockFree(t, conn)
		})
	}
}

// bouncer is PgBouncer in transaction mode before a cluster's latest database.
type bouncer struct {
	t         *testing.T
	c         *cluster
	dir, port string
	cmd       *exec.Cmd
}

func newBouncer(t *testing.T, c *cluster) *bouncer {
	t.Helper()
	b := &bouncer{t: t, c: c, dir: filepath.Join(c.dir, "bouncer"), port: freePort(t)}
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"users.txt": "\"postgres\" \"\"\n",
		"pgbouncer.ini": "[databases]\n* = host=127.0.0.1 port=" + c.port + "\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = " + b.port +
			"\nunix_socket_dir =\nauth_type = trust\nauth_file = " + b.dir + "/users.txt\npool_mode = transaction\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func (b *bouncer) dsn() string { return "postgres://postgres@127.0.0.1:" + b.port + "/" + b.c.name }

func (b *bouncer) start() {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer" // where Debian has it, beyond the PATH of ordinary users
	}
	b.cmd = exec.Command(path, "-q", filepath.Join(b.dir, "pgbouncer.ini"))
	b.cmd.Dir, b.cmd.SysProcAttr = b.dir, as(b.c.who)
	if err := b.cmd.Start(); err != nil {
		b.t.Fatalf("starting pgbouncer (apt-get install pgbouncer): %v", err)
	}
	labtest.Until(b.t, "PgBouncer answers", func() error {
		conn, err := pgx.Connect(context.Background(), b.dsn()+"?default_query_exec_mode=simple_protocol")
		if err != nil {
			return err
		}
		return conn.Close(context.Background())
	})
}

func (b *bouncer) stop() {
	_ = b.cmd.Process.Kill() // an error means that it has ended already
	_ = b.cmd.Wait()
}

func (b *bouncer) restart() {
	b.stop()
	b.start()
}
