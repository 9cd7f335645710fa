package fault_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

// frozenBy is a place where an administrator sets default_transaction_read_only.
type frozenBy struct {
	name, set, says string
	dsn             string // what the DSN has besides
}

func freezes() []frozenBy {
	const on = " set default_transaction_read_only = on"
	return []frozenBy{
		{name: "database", set: "alter database multica1" + on, says: "default_transaction_read_only is on for database multica1"},
		{name: "role", set: "alter role agent" + on, says: "default_transaction_read_only is on for role agent"},
		{name: "role in database", set: "alter role agent in database multica1" + on, says: "for role agent in database multica1"},
		{name: "all roles", set: "alter role all" + on, says: "for all roles"},
		{name: "server", set: "alter system" + on, says: "in the server's configuration"},
		// The driver would take the primary for a standby.
		{name: "database of a DSN that demands writes", set: "alter database multica1" + on, says: "for database multica1", dsn: "?target_session_attrs=read-write"},
	}
}

// TestAnAdministratorsFreezeIsRespected: nothing is written, each command says whose setting it is and what to
// type, and after that the next run is current.
func TestAnAdministratorsFreezeIsRespected(t *testing.T) {
	c := newCluster(t)
	conn := c.fresh(t)
	exec1(t, conn, "create role agent superuser login")
	seed(t, conn, 5, 200)
	run(t, c.dsn(), options(t, "set"))
	for _, f := range freezes() {
		t.Run(f.name, func(t *testing.T) {
			dir := t.TempDir()
			dsn := strings.Replace(c.dsn(), "postgres@", "agent@", 1) + f.dsn
			exec1(t, conn, "insert into task_usage (task_id, provider, model, input_tokens, created_at, updated_at) select id, 'lab', '"+f.name+"', 7, now() - interval '1 hour', now() - interval '1 hour' from agent_task_queue where runtime_id is not null limit 3",
				"update task_usage_hourly_rollup_state set watermark_at = now() - interval '2 hours'")
			exec1(t, conn, f.set, "select pg_reload_conf()")
			labtest.Until(t, "new sessions are read-only", func() error {
				fresh, err := pgx.Connect(t.Context(), dsn[:len(dsn)-len(f.dsn)])
				if err != nil {
					return err
				}
				defer fresh.Close(t.Context())
				return labtest.IsTrue(t.Context(), fresh, "select current_setting('default_transaction_read_only')::boolean")
			})
			before := written(t, conn)
			hint := ""
			for _, k := range []struct {
				args []string
				code int
			}{
				{[]string{"run"}, 75}, {[]string{"backfill"}, 75}, {[]string{"backfill", "--dry-run"}, 75},
				{[]string{"verify", "--repair"}, 3}, {[]string{"verify", "--engines"}, 3},
				{[]string{"status"}, 2}, {[]string{"doctor"}, 2},
			} {
				cmd := newCommand(dsn, dir, k.args...)
				code := cmd.code(t)
				said := strings.Join(strings.Fields(cmd.stdout.String()+cmd.stderr.String()), " ")
				if code != k.code || !strings.Contains(said, f.says) {
					t.Errorf("%v: exit code %d, want %d; it says %s", k.args, code, k.code, said)
				}
				if after := written(t, conn); after != before {
					t.Errorf("%v: written: %s, before: %s", k.args, after, before)
				}
				if k.args[0] == "run" {
					_, hint, _ = strings.Cut(cmd.stderr.String(), "hint: ")
				}
			}
			must(t, dsn, dir, "usage") // which is not to write
			paste(t, c.dsn(), hint)
			labtest.Until(t, "new sessions may write", func() error {
				fresh, err := pgx.Connect(t.Context(), dsn)
				if err != nil {
					return err
				}
				defer fresh.Close(t.Context())
				return labtest.IsTrue(t.Context(), fresh, "select not current_setting('default_transaction_read_only')::boolean")
			})
			must(t, dsn, dir, "run")
			exact(t, conn, "after it was lifted")
		})
	}
}

// paste types a hint into psql.
func paste(t *testing.T, dsn, hint string) {
	t.Helper()
	psql := exec.Command("psql", "-X", "-v", "ON_ERROR_STOP=1", dsn)
	psql.Stdin = strings.NewReader(hint)
	if out, err := psql.CombinedOutput(); err != nil {
		t.Fatalf("psql: %v: %s\npasted: %s", err, out, hint)
	}
}

// TestAFreezeInTheMiddleEndsARun: what was committed before it stays, and nothing comes after.
func TestAFreezeInTheMiddleEndsARun(t *testing.T) {
	c := newCluster(t)
	conn := c.fresh(t)
	seed(t, conn, 6, 600)
	for _, engine := range engines {
		exec1(t, conn, "alter database "+c.name+" reset default_transaction_read_only", "update task_usage_hourly_rollup_state set watermark_at = '1970-01-01'")
		o := options(t, engine)
		before := ""
		o.Observe = atSlice(3, func() {
			exec1(t, conn, "alter database "+c.name+" set default_transaction_read_only = on",
				"select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'multica-rollup/run' and datname = current_database()")
			before = written(t, conn)
		})
		err := walked(t, c.dsn(), o, func(w *rollup.Walker) error { return w.Run(t.Context()) })
		if problem.KindOf(err) != problem.TryAgain || !strings.Contains(err.Error(), "for database "+c.name) {
			t.Errorf("%s: it ends with %v", engine, err)
		}
		if after := written(t, conn); after != before {
			t.Errorf("%s: written: %s, before: %s", engine, after, before)
		}
		truthful(t, conn, "after the freeze")
	}
}

// TestAStandbyThatAPoolerIsPointedAtInTheMiddleIsWaitedFor: as in a failover, and back again.
func TestAStandbyThatAPoolerIsPointedAtInTheMiddleIsWaitedFor(t *testing.T) {
	p, conn := newPair(t)
	b := newBouncer(t, p.primary)
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			o := options(t, engine)
			exec1(t, conn, "update task_usage_hourly set input_tokens = input_tokens + 1") // which a backfill repairs
			back := make(chan struct{})
			waits := ""
			at := atSlice(2, func() { b.point(t, p.standby) })
			o.Observe = func(st *report.State) {
				at(st)
				if strings.Contains(st.Blocked, "read-only standby") && waits == "" {
					waits = st.Blocked
					b.point(t, p.primary)
					close(back)
				}
			}
			if st := backfill(t.Context(), t, b.dsn(), o); st.Outcome != report.Current {
				t.Errorf("outcome %q, want current", st.Outcome)
			}
			select {
			case <-back:
			default:
				t.Error("the standby was not waited for")
			}
			exact(t, conn, "after the standby and the rest of the backfill")
		})
	}
	t.Run("that stays", func(t *testing.T) {
		o := options(t, "set")
		o.Reconnect = time.Second
		exec1(t, conn, "update task_usage_hourly set input_tokens = input_tokens + 1")
		o.Observe = atSlice(2, func() { b.point(t, p.standby) })
		o.Command = "backfill"
		err := works()[1].do(t, b.dsn(), o)
		if problem.KindOf(err) != problem.Unreachable || !strings.Contains(err.Error(), "read-only standby") {
			t.Errorf("it ends with %v, want a standby", err)
		}
	})
}

// point has new transactions go to another server.
func (b *bouncer) point(t *testing.T, to *cluster) {
	t.Helper()
	path := filepath.Join(b.dir, "pgbouncer.ini")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^(\* = .* port=)\d+$`).ReplaceAll(text, []byte("${1}"+to.port))
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	labtest.Until(t, "PgBouncer has read its configuration", func() error {
		conn, err := pgx.Connect(t.Context(), b.dsn())
		if err != nil {
			return err
		}
		defer conn.Close(t.Context())
		return labtest.IsTrue(t.Context(), conn, "select inet_server_port()::text = '"+to.port+"'")
	})
}
