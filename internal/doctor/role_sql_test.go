package doctor_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

const roleScript = "../../configs/role.sql"

// people of a database: who owns Multica's tables, and others who may run role.sql.
type people struct {
	*labtest.DB
	t      *testing.T
	agent  string // the role that role.sql makes
	owner  string // of Multica's tables, and may create roles
	humble string // as the owner, and may not create roles
}

// newPeople makes them. All are dropped with the test.
func newPeople(t *testing.T, gen lab.Generation) *people {
	t.Helper()
	p := &people{DB: labtest.New(t, gen), t: t}
	suffix := p.Name[len(p.Name)-12:]
	p.agent, p.owner, p.humble = "agent-"+suffix, "owner_"+suffix, "humble_"+suffix
	server, name := p.Server, p.Name
	t.Cleanup(func() {
		ctx := context.Background()
		_ = p.Conn.Close(ctx)
		for _, database := range []string{name, "postgres"} {
			super, err := pgx.Connect(ctx, server.DSN(database))
			if err != nil {
				t.Error(err)
				return
			}
			for _, role := range []string{p.agent, p.owner, p.humble} {
				sql := "drop owned by " + pgx.Identifier{role}.Sanitize() + " cascade"
				if database == "postgres" {
					sql = "drop role if exists " + pgx.Identifier{role}.Sanitize()
				}
				if _, err := super.Exec(ctx, sql); err != nil && database == "postgres" {
					t.Error(err)
				}
			}
			_ = super.Close(ctx)
		}
	})
	p.exec("create role " + p.owner + " login createrole")
	p.exec("create role " + p.humble + " login in role " + p.owner)
	p.exec("do $$ declare o regclass; f regprocedure; begin " +
		"for o in select oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' loop execute format('alter table %s owner to " + p.owner + "', o); end loop; " +
		"for f in select oid from pg_proc where pronamespace = 'public'::regnamespace loop execute format('alter function %s owner to " + p.owner + "', f); end loop; end $$")
	return p
}

func (p *people) exec(sql string) {
	p.t.Helper()
	if _, err := p.Conn.Exec(context.Background(), sql); err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
}

func (p *people) get(sql string) (yes bool) {
	p.t.Helper()
	if err := p.Conn.QueryRow(context.Background(), sql).Scan(&yes); err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
	return yes
}

// makes runs role.sql as somebody, in a database.
func (p *people) makes(database, who string) (said string, ok bool) {
	p.t.Helper()
	return labtest.Psql(p.t, p.Server.DSN(database), who, "-v", "role="+p.agent, "-f", roleScript)
}

// complete says whether the role may read and write what it has to, pg_read_all_stats aside.
func (p *people) complete() bool {
	p.t.Helper()
	return p.get("select has_table_privilege('" + p.agent + "', 'task_usage', 'select') and has_table_privilege('" + p.agent + "', 'task_usage_hourly', 'delete') and " +
		"has_column_privilege('" + p.agent + "', 'agent', 'workspace_id', 'select') and has_table_privilege('" + p.agent + "', 'sys_cron_executions', 'select')")
}

// typed returns what a hint has a superuser type.
func typed(t *testing.T, said string) string {
	t.Helper()
	_, statement, found := strings.Cut(said, "have a superuser type: ")
	statement, _, _ = strings.Cut(statement, ";\n")
	if !found || statement == "" {
		t.Fatalf("no statement is printed:\n%s", said)
	}
	return statement
}

func TestTheRoleReadsColumnsAndNotTables(t *testing.T) {
	p := newPeople(t, lab.Gen272)
	p.exec("alter table agent add custom_env jsonb; alter table agent_task_queue add prompt_of_the_test text")
	if said, ok := p.makes(p.Name, ""); !ok {
		t.Fatal(said)
	}
	rows, err := p.Conn.Query(t.Context(), `select c.relname || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
		where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped
		  and c.relname not like 'task_usage%' and has_column_privilege($1, c.oid, a.attnum, 'select, insert, update, references')
		order by c.relname, a.attnum`, p.agent)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"agent.id", "agent.workspace_id", "agent_task_queue.id", "agent_task_queue.agent_id",
		"agent_task_queue.issue_id", "agent_task_queue.runtime_id", "issue.id", "issue.project_id"}
	var others []string
	for _, name := range got {
		if !strings.HasPrefix(name, "schema_migrations.") && !strings.HasPrefix(name, "sys_cron_executions.") {
			others = append(others, name)
		}
	}
	if strings.Join(others, " ") != strings.Join(want, " ") {
		t.Errorf("the role may read %q, want %q", others, want)
	}
}

func TestRoleSQLMakesTheSameAsAnyoneWhoMayRunIt(t *testing.T) {
	p := newPeople(t, lab.Gen272)
	modern := p.get("select current_setting('server_version_num')::int >= 160000")
	for _, who := range []string{p.owner, "", p.owner, ""} { // each twice, and after the other
		said, ok := p.makes(p.Name, who)
		if !ok || !p.complete() {
			t.Fatalf("as %q:\n%s", who, said)
		}
		sees := p.get("select pg_has_role('" + p.agent + "', 'pg_read_all_stats', 'usage')")
		if printed := strings.Contains(said, "pg_read_all_stats;") || strings.Contains(said, "pg_read_all_stats to"); printed == sees {
			t.Errorf("as %q the role sees others' sessions: %v, and what it takes is printed: %v\n%s", who, sees, printed, said)
		}
		if sees {
			continue
		}
		if !modern {
			t.Errorf("before PostgreSQL 16 who may create roles may grant pg_read_all_stats:\n%s", said)
		}
		statement := typed(t, said)
		p.exec(statement)
		if !strings.HasSuffix(statement, " with inherit true") || !p.get("select pg_has_role('"+p.agent+"', 'pg_read_all_stats', 'usage')") {
			t.Errorf("%s does not do what it is printed for", statement)
		}
		p.exec(`revoke pg_read_all_stats from "` + p.agent + `"`)
	}
}

func TestRoleSQLMendsARoleThatInheritsNothing(t *testing.T) {
	p := newPeople(t, lab.Gen272)
	p.exec(`create role "` + p.agent + `" login noinherit; grant pg_read_all_stats to "` + p.agent + `"`)
	if said, ok := p.makes(p.Name, ""); !ok || !p.get("select pg_has_role('"+p.agent+"', 'pg_read_all_stats', 'usage')") {
		t.Errorf("the role still sees nothing of others:\n%s", said)
	}
}

func TestRoleSQLEndsWithAnErrorAndChangesNothing(t *testing.T) {
	p := newPeople(t, lab.Gen272)
	stranger := strings.Replace(p.humble, "humble", "stranger", 1)
	p.exec("create role " + stranger + " login createrole")
	t.Cleanup(func() { p.exec("drop role " + stranger) })
	old := labtest.New(t, lab.Gen097)
	for _, c := range []struct {
		name, database, who string
		before, after       string
		says, hint          string
	}{
		{name: "in a database that is not Multica's", database: "postgres", says: "database postgres is not Multica's", hint: "psql -d NAME -f role.sql"},
		{name: "before the hourly table", database: old.Name, says: "lacks task_usage_hourly", hint: "v0.3.5"},
		{name: "as a role that owns nothing", who: stranger, says: "Multica's tables belong to " + p.owner, hint: "as that owner or as a superuser"},
		{name: "as an owner who may not create the role", who: p.humble, says: "role " + p.humble + " may not create it", hint: `create role "` + p.agent + `" login`},
		{name: "where two schemas have the table", before: "create schema a; create schema b; create table a.task_usage (); create table b.task_usage (); alter schema public rename to c",
			after: "alter schema c rename to public; drop schema a cascade; drop schema b cascade", says: "in the schemas a, b, c", hint: "search_path="},
		{name: "as an owner who may not grant on the schema", who: p.owner, before: "revoke usage on schema public from public; grant usage on schema public to " + p.owner,
			after: "grant usage on schema public to public; revoke usage on schema public from " + p.owner, says: "still lacks usage on schema public", hint: "as a superuser"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.before != "" {
				p.exec(c.before)
				defer p.exec(c.after)
			}
			database := c.database
			if database == "" {
				database = p.Name
			}
			said, ok := p.makes(database, c.who)
			if ok || !strings.Contains(said, c.says) || !strings.Contains(said, c.hint) {
				t.Errorf("psql ended well: %v, and said\n%s\nwant an error with %q and %q", ok, said, c.says, c.hint)
			}
			if p.get("select exists (select from pg_roles where rolname = '" + p.agent + "')") {
				t.Errorf("the role is there all the same")
			}
		})
	}
	// What the owner is told to have typed is all that was missing.
	said, _ := p.makes(p.Name, p.humble)
	_, statement, _ := strings.Cut(said, "have a superuser type: ")
	statement, _, _ = strings.Cut(statement, ";")
	p.exec(statement)
	if said, ok := p.makes(p.Name, p.humble); !ok || !p.complete() {
		t.Errorf("after %s: %s", statement, said)
	}
}

// TestRoleSQLRunsNothingOfAnothersSchema: it is a superuser who runs it.
func TestRoleSQLRunsNothingOfAnothersSchema(t *testing.T) {
	p := newPeople(t, lab.Gen272)
	p.exec(`create function public.steal(name, text) returns boolean language plpgsql as $$ begin raise 'ran'; end $$;
		create operator public.= (leftarg = name, rightarg = text, function = public.steal);
		create function public.steal(text, text) returns text language plpgsql as $$ begin raise 'ran'; end $$;
		create operator public.|| (leftarg = text, rightarg = text, function = public.steal);
		create function public.format(text, text) returns text language plpgsql as $$ begin raise 'ran'; end $$;
		create function public.to_regclass(text) returns regclass language plpgsql as $$ begin raise 'ran'; end $$;
		create function public.current_setting(text) returns text language plpgsql as $$ begin raise 'ran'; end $$;
		alter database ` + p.Name + ` set search_path = public, pg_catalog`)
	if said, ok := p.makes(p.Name, ""); !ok || !p.complete() {
		t.Error(said)
	}
	labtest.Script(t, p.DSN, "", "-v", "role="+p.agent, "-f", "../../configs/role-names.sql")
}

func TestRoleSQLFindsASchemaOfItsOwn(t *testing.T) {
	p := newPeople(t, lab.Gen272)
	p.exec(`alter schema public rename to "Multica's"`)
	if said, ok := p.makes(p.Name, ""); !ok {
		t.Fatal(said)
	}
	if !p.get("select has_schema_privilege('" + p.agent + `', 'Multica''s', 'usage') and has_table_privilege('` + p.agent + `', '"Multica''s".task_usage_hourly', 'insert')`) {
		t.Error("the role may not write there")
	}
	// Everything that has been revoked from everybody is granted.
	p.exec(`revoke usage on schema "Multica's" from public; revoke connect on database ` + p.Name + ` from public; revoke execute on all functions in schema "Multica's" from public`)
	if said, ok := p.makes(p.Name, ""); !ok {
		t.Fatal(said)
	}
	if !p.get("select has_schema_privilege('" + p.agent + `', 'Multica''s', 'usage') and has_database_privilege('` + p.agent + "', current_database(), 'connect') and has_function_privilege('" +
		p.agent + `', '"Multica''s".rollup_task_usage_hourly_window(timestamptz, timestamptz)', 'execute')`) {
		t.Error("the role lacks what was revoked from everybody")
	}
}
