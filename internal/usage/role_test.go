package usage_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/usage"
)

const role = "multica-rollup"

// asRole makes the role as an administrator does.
func asRole(t testing.TB, db *labtest.DB) {
	t.Helper()
	script(t, db, "role.sql")
}

func script(t testing.TB, db *labtest.DB, name string) {
	t.Helper()
	labtest.Script(t, db.DSN, "", "-q", "-f", "../../configs/"+name)
}

// all asks for every kind of name.
var all = usage.Query{By: []usage.Dimension{usage.Agent, usage.Project, usage.Runtime}}

func TestTheRoleSeesIDsUntilNamesAreGranted(t *testing.T) {
	db := newDB(t, lab.Gen272)
	asRole(t, db)
	add(t, db, hour{at: "2026-03-01", agent: old, project: site, in: 1}, hour{at: "2026-03-01", agent: gone, project: gone, in: 2})

	r, err := read(t, db, role, all)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"workspace.id", "workspace.name", "workspace.slug", "agent.name", "agent.kind", "agent.archived_at",
		"project.id", "project.title", "agent_runtime.id", "agent_runtime.name"}; !slices.Equal(r.NamesMissing, want) {
		t.Errorf("missing are %q", r.NamesMissing)
	}
	text := table(t, r, 0, false)
	for _, want := range []string{"00000000, 2026-", "\nDeleted a… 00000000 00000000 ", "\n00000000   00000000 00000000 "} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	v := view(t, r)
	if v.Rows[1].Agent != nil || v.Rows[1].AgentState != nil || *v.Rows[1].AgentID != old || *v.Rows[0].AgentState != usage.Deleted {
		t.Errorf("rows are %+v", v.Rows)
	}
	if _, err := read(t, db, role, usage.Query{Filters: map[usage.Dimension][]string{usage.Project: {"site"}}}); problem.KindOf(err) != problem.Permission ||
		!strings.HasPrefix(problem.HintOf(err), `grant select (id, title) on "public"."project" to "multica-rollup"`) {
		t.Errorf("a filter by a name: %v; %s", err, problem.HintOf(err))
	}

	// Each grant that is printed does what it is printed for; so does the file.
	for _, grant := range r.Grants {
		exec(t, db.Conn, grant)
	}
	named := func() {
		t.Helper()
		r, err := read(t, db, role, all)
		if err != nil || len(r.NamesMissing) != 0 || len(r.Grants) != 0 {
			t.Fatalf("%v, missing are %q", err, r.NamesMissing)
		}
		if v := view(t, r); *v.Rows[1].Agent != "old" || *v.Rows[1].AgentState != usage.Archived {
			t.Errorf("rows are %+v", v.Rows)
		}
		for _, want := range []string{"acme, 2026-", "site", "box", "no project"} {
			if text := table(t, r, 0, false); !strings.Contains(text, want) {
				t.Errorf("there is no %q in\n%s", want, text)
			}
		}
	}
	named()
	exec(t, db.Conn, `revoke all on workspace, agent, project, agent_runtime from "multica-rollup"`)
	script(t, db, "role-names.sql")
	named()
	script(t, db, "role-names.sql")
}

func TestTheGrantsFileFitsEveryRelease(t *testing.T) {
	for _, gen := range lab.Generations() {
		db := labtest.New(t, gen)
		exec(t, db.Conn, `do $$ begin if not exists (select from pg_roles where rolname = 'multica-rollup') then create role "multica-rollup" login; end if; end $$`)
		script(t, db, "role-names.sql")
	}
}

func TestWhatAPolicyHidesIsNotZero(t *testing.T) {
	db := newDB(t, lab.Gen272)
	asRole(t, db)
	script(t, db, "role-names.sql")
	add(t, db, hour{at: "2026-03-01", in: 1})
	for _, name := range []string{"agent", "project"} { // no names, and nobody is called deleted
		exec(t, db.Conn, "alter table "+name+" enable row level security")
		r, err := read(t, db, role, all)
		if name == "agent" && problem.KindOf(err) != problem.Permission && (err != nil || r.Rows[0].AgentID != backend) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "project" && (err != nil || !slices.Contains(r.NamesMissing, "project.title")) {
			t.Errorf("%s: %v", name, err)
		}
		exec(t, db.Conn, "alter table "+name+" disable row level security")
	}
	for _, name := range []string{"task_usage_hourly", "task_usage", "agent_task_queue", "task_usage_hourly_rollup_state"} {
		exec(t, db.Conn, "alter table "+name+" enable row level security")
		if _, err := read(t, db, role, usage.Query{}); problem.KindOf(err) != problem.Permission || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		exec(t, db.Conn, "alter table "+name+" disable row level security")
	}
}

func TestNothingOfAnothersSchemaIsRun(t *testing.T) {
	db := newDB(t, lab.Gen272)
	add(t, db, hour{at: "2026-03-01", in: 1})
	// Whatever shadows an operator or a function of ours fails loudly.
	for _, sql := range []string{
		"create function public.steal(timestamptz, timestamptz) returns boolean language plpgsql as $$ begin raise 'ran'; end $$",
		"create operator public.>= (leftarg = timestamptz, rightarg = timestamptz, function = public.steal)",
		"create function public.lower(text) returns text language plpgsql as $$ begin raise 'ran'; end $$",
		"create function public.to_char(date, text) returns text language plpgsql as $$ begin raise 'ran'; end $$",
		"create function public.steal(date, integer) returns date language plpgsql as $$ begin raise 'ran'; end $$",
		"create operator public.+ (leftarg = date, rightarg = integer, function = public.steal)",
		"alter database " + db.Name + " set search_path = public, pg_catalog",
	} {
		exec(t, db.Conn, sql)
	}
	r := must(t, db, usage.Query{By: []usage.Dimension{usage.Provider, usage.Agent}, Per: usage.Day})
	if len(r.Rows) != 1 {
		t.Errorf("rows are %+v", r.Rows)
	}
}

func TestASchemaOfItsOwnIsFound(t *testing.T) {
	db := newDB(t, lab.Gen272)
	add(t, db, hour{at: "2026-03-01", in: 1})
	exec(t, db.Conn, `alter schema public rename to "Multica's"; alter database `+db.Name+` set search_path = "Multica's"`)
	if got := table(t, must(t, db, usage.Query{}), 0, false); !strings.Contains(got, "backend ") {
		t.Errorf("got\n%s", got)
	}
}

func TestAStatementThatTakesTooLongIsNamed(t *testing.T) {
	db := newDB(t, lab.Gen272)
	// Nothing is slower than a table that somebody has locked.
	tx, err := db.Connect(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "lock table task_usage_hourly"); err != nil {
		t.Fatal(err)
	}
	connector, err := pg.NewConnector(db.DSN, "multica-rollup/test")
	if err != nil {
		t.Fatal(err)
	}
	_, err = usage.Read(context.Background(), usage.Options{Connector: connector, Known: pipeline.Shipped(), StatementTimeout: 100 * time.Millisecond},
		usage.Query{By: []usage.Dimension{usage.Agent}, Timezone: "UTC", When: usage.When{Days: 30}})
	if problem.KindOf(err) != problem.Failed || err == nil || !strings.Contains(err.Error(), "statement timeout of 100ms") || !strings.Contains(problem.HintOf(err), "statement_timeout") {
		t.Errorf("got %v; %s", err, problem.HintOf(err))
	}
}
