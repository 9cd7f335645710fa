package cli_test

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/cli"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// refusing is a rolled-up database with new usage and a role of its own that may do all but own the tables.
type refusing struct {
	t    *testing.T
	db   *labtest.DB
	role string
	dsn  string
}

func newRefusing(t *testing.T) *refusing {
	db := labtest.New(t, lab.Gen272)
	r := &refusing{t: t, db: db, role: "Refused " + db.Name}
	if _, err := lab.Seed(t.Context(), db.Conn, lab.Typical(3, 120)); err != nil {
		t.Fatal(err)
	}
	quoted := pgx.Identifier{r.role}.Sanitize()
	r.exec("create role " + quoted + " login in role pg_read_all_stats")
	t.Cleanup(func() {
		_, _ = db.Conn.Exec(context.Background(), "reset role")
		for _, sql := range []string{"reassign owned by " + quoted + " to current_user", "drop owned by " + quoted, "drop role " + quoted} {
			if _, err := db.Conn.Exec(context.Background(), sql); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
	})
	r.exec("grant select, insert, update, delete on all tables in schema public to " + quoted)
	u, err := url.Parse(db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(r.role)
	r.dsn = u.String()
	return r
}

func (r *refusing) exec(sql string) {
	r.t.Helper()
	if _, err := r.db.Conn.Exec(r.t.Context(), sql); err != nil {
		r.t.Fatalf("%s: %v", sql, err)
	}
}

// written is all that the agent may write to, as text.
func (r *refusing) written() (all string) {
	r.t.Helper()
	for _, table := range []string{"task_usage_hourly", "task_usage_hourly_dirty", "task_usage_hourly_rollup_state"} {
		var text string
		sql := "select coalesce(string_agg(ctid::text || xmin::text || x::text, E'\n' order by ctid), '') from public." + table + " x"
		if err := r.db.Conn.QueryRow(r.t.Context(), sql).Scan(&text); err != nil {
			r.t.Fatal(err)
		}
		all += table + "\n" + text + "\n"
	}
	return all
}

// cli runs a command as the role, and returns its exit code, stdout and stderr.
func (r *refusing) cli(command string) (code int, stdout, stderr string) {
	r.t.Helper()
	path := r.t.TempDir() + "/rollup.toml"
	if err := os.WriteFile(path, []byte("dsn = \""+r.dsn+"\"\nstate_dir = \""+r.t.TempDir()+"\"\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	var out, errs bytes.Buffer
	args := append([]string{"--as-root", "--config", path}, strings.Fields(command)...)
	err := cli.Run(r.t.Context(), args, strings.NewReader(""), &out, &errs)
	return cli.ExitCode(err), out.String(), errs.String()
}

var (
	refusable = []string{
		"run", "run --every 5m", "backfill", "backfill --dry-run", "backfill --restart", "verify", "verify --repair", "verify --engines",
		"guard", "guard --fix",
	}
	oneError = regexp.MustCompile(`(?m)^multica-rollup: [a-z"].*\nhint: (.*)\n\z`)
)

// refuses demands that each command ends with the code and writes nothing, that
// status and doctor are critical and name what it is about, and that the hint's
// statement, pasted as it is by a superuser, mends it.
func (r *refusing) refuses(code int, names string, mends bool) {
	r.t.Helper()
	before, hint := r.written(), ""
	for _, command := range refusable {
		got, stdout, stderr := r.cli(command)
		match := oneError.FindStringSubmatch(stderr)
		if got != code || match == nil || !strings.Contains(stderr, names) || stdout != "" {
			r.t.Fatalf("%s ended with %d, want %d and one line about %q with a hint\n%s%s", command, got, code, names, stdout, stderr)
		}
		hint = match[1]
	}
	for _, command := range []string{"status", "status --json", "doctor"} {
		got, stdout, stderr := r.cli(command)
		if got != 2 || !strings.Contains(strings.ReplaceAll(strings.Join(strings.Fields(stdout), " "), `\"`, `"`), names) {
			r.t.Errorf("%s ended with %d, want 2 and a word about %q\n%s%s", command, got, names, stdout, stderr)
		}
	}
	if after := r.written(); after != before {
		r.t.Errorf("something was written:\n%s\nwas\n%s", after, before)
	}
	if !mends {
		return
	}
	r.exec(hint)
	if got, stdout, stderr := r.cli("run"); got != 0 {
		r.t.Fatalf("after %s\nrun ended with %d\n%s%s", hint, got, stdout, stderr)
	}
	diffs, err := lab.Oracle(r.t.Context(), r.db.Conn)
	if err != nil || len(diffs) > 0 {
		r.t.Errorf("after the fix %d hourly rows differ: %v", len(diffs), err)
	}
}

var sevenTables = []string{
	"task_usage", "agent_task_queue", "agent", "issue", "task_usage_hourly", "task_usage_hourly_dirty", "task_usage_hourly_rollup_state",
}

func TestRowLevelSecurityOnAnyTableIsRefused(t *testing.T) {
	for _, table := range sevenTables {
		t.Run(table, func(t *testing.T) {
			r := newRefusing(t)
			r.exec("alter table " + table + " enable row level security")
			r.refuses(77, "public."+table, true)
		})
	}
	t.Run("a policy that lets half through", func(t *testing.T) {
		r := newRefusing(t)
		r.exec("alter table task_usage enable row level security")
		r.exec("create policy half on task_usage using (hashtext(id::text) % 2 = 0)")
		r.refuses(77, "public.task_usage", true)
	})
	t.Run("forced on the owner", func(t *testing.T) {
		r := newRefusing(t)
		r.exec("alter table issue owner to " + pgx.Identifier{r.role}.Sanitize())
		r.exec("alter table issue enable row level security")
		r.exec("alter table issue force row level security")
		r.refuses(77, "public.issue", true)
	})
}

func TestATableThatMayNotBeReadIsRefused(t *testing.T) {
	for _, table := range sevenTables {
		t.Run(table, func(t *testing.T) {
			r := newRefusing(t)
			r.exec("revoke select on " + table + " from " + pgx.Identifier{r.role}.Sanitize())
			r.refuses(77, "public."+table, true)
		})
	}
}

func TestTablesOfTwoSchemasAreRefused(t *testing.T) {
	for _, table := range sevenTables {
		t.Run(table, func(t *testing.T) {
			r := newRefusing(t)
			schema := pgx.Identifier{r.role}.Sanitize()
			r.exec("create schema " + schema + " create table " + table + " (like public." + table + " including all)")
			r.exec("grant usage on schema " + schema + " to " + schema)
			r.exec("grant all on all tables in schema " + schema + " to " + schema)
			r.refuses(78, table+" in "+schema, true)
		})
	}
}

func TestAViewInATablesPlaceIsRefused(t *testing.T) {
	r := newRefusing(t)
	r.exec("alter table issue rename to issue_all")
	r.exec("create view issue as select * from issue_all where false")
	r.exec("grant select on issue to " + pgx.Identifier{r.role}.Sanitize())
	r.refuses(78, "public.issue is a view", false)
}

func TestAKeyThatTakesNullsForDistinctIsRefused(t *testing.T) {
	const key = "(bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model"
	for name, sql := range map[string]string{
		"nulls distinct": "alter table task_usage_hourly drop constraint uq_task_usage_hourly_key, add constraint uq_task_usage_hourly_key unique " + key + ")",
		"no key":         "alter table task_usage_hourly drop constraint uq_task_usage_hourly_key",
		"an index":       "alter table task_usage_hourly drop constraint uq_task_usage_hourly_key; create unique index uq_task_usage_hourly_key on task_usage_hourly " + key + ")",
		"eight columns":  "alter table task_usage_hourly drop constraint uq_task_usage_hourly_key, add constraint uq_task_usage_hourly_key unique nulls not distinct " + key + ", updated_at)",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRefusing(t)
			if err := lab.RollUp(t.Context(), r.db.Conn); err != nil {
				t.Fatal(err)
			}
			r.exec(sql)
			r.exec(`insert into task_usage_hourly select (jsonb_populate_record(h, '{"updated_at": "1999-01-01"}')).* from task_usage_hourly h where project_id is null`)
			r.refuses(78, "public.task_usage_hourly is not unique", true)
		})
	}
}
