package doctor_test

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/cli"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// ordinary starts a server of which the log tells who got which error, and
// returns a well installation on it whose agent connects as the role that role.sql makes.
func ordinary(t *testing.T, gen lab.Generation) (p *patient, role string) {
	t.Helper()
	server, err := lab.Start(t.Context(), lab.Options{Settings: map[string]string{"log_line_prefix": "role=%u state=%e "}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	if err := server.CreateDatabase(t.Context(), "multica", gen); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), server.DSN("multica"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	p = admit(t, gen, server, "multica", conn)
	role = p.agent()
	var super bool
	if p.get(&super, "select rolsuper from pg_roles where rolname = $1", role); super {
		t.Fatal("the role is a superuser")
	}
	p.connect()
	return p, role
}

// neverDenied demands that the role was refused nothing, whatever came of it.
func (p *patient) neverDenied(role string) {
	p.t.Helper()
	log, err := p.server.Log()
	if err != nil {
		p.t.Fatal(err)
	}
	denied := regexp.MustCompile("role=" + regexp.QuoteMeta(role) + " state=42501 .*")
	seen := map[string]bool{}
	for _, line := range denied.FindAllString(log, -1) {
		if !seen[line] {
			p.t.Errorf("the server has logged: %s", line)
		}
		seen[line] = true
	}
	if !strings.Contains(log, "role=") {
		p.t.Fatal("the log does not name roles")
	}
}

// TestTheLeastPrivilegedRoleIsEnough runs every command as the role that
// role.sql makes, with either engine, while another role's session is open.
func TestTheLeastPrivilegedRoleIsEnough(t *testing.T) {
	for _, gen := range []lab.Generation{lab.GenInterrupted, lab.Gen102, lab.Gen213, lab.Gen272} {
		t.Run(string(gen), func(t *testing.T) {
			p, role := ordinary(t, gen)
			p.exec("alter table agent add custom_env jsonb; insert into task_usage_hourly_dirty select bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model from task_usage_hourly limit 5")
			for _, engine := range []string{"set", "function"} {
				p.lines["engine"] = `"` + engine + `"`
				p.unroll()
				p.configure()
				for _, command := range []string{
					"config check", "guard --fix", "backfill --dry-run", "backfill --months-back 1 --dry-run --force-partial", "run", "backfill --restart", "verify", "verify --engines", "status", "guard",
					"usage --by agent --by project --by runtime", "pgcron status", "pgcron remove",
				} {
					p.cli("multica-rollup --config " + p.configPath() + " " + command)
				}
				// What only a recount finds, and only a privilege on the queue repairs.
				p.exec("delete from task_usage_hourly where ctid = (select min(ctid) from task_usage_hourly)")
				p.exec("delete from agent where id = (select agent_id from task_usage_hourly order by bucket_hour limit 1)")
				p.cli("multica-rollup --config " + p.configPath() + " verify --repair")
				diffs, err := lab.Oracle(t.Context(), p.conn)
				if err != nil || len(diffs) > 0 {
					t.Fatalf("%s: %d hourly rows differ from the raw usage, first %v: %v", engine, len(diffs), diffs, err)
				}
			}
			p.lines["engine"] = `"set"`
			p.wellNow()
			p.neverDenied(role)
			p.dsn = strings.Replace(p.server.DSN(p.name), "postgres@", role+"@", 1)
			if said, ok := labtest.Psql(t, p.dsn, "", "-c", "select custom_env from agent"); ok || !strings.Contains(said, "permission denied") {
				t.Errorf("the agents' environments may be read: %s", said)
			}
		})
	}
}

// TestTheRoleIsEnoughAfterAnUpgradeOfMultica: a new table wants role.sql once more, a new column does not.
func TestTheRoleIsEnoughAfterAnUpgradeOfMultica(t *testing.T) {
	p, role := ordinary(t, lab.Gen102)
	if err := lab.Upgrade(t.Context(), p.conn, lab.Gen102, lab.Gen272); err != nil {
		t.Fatal(err)
	}
	p.configure()
	for _, command := range []string{"run", "backfill --restart", "verify", "verify --engines", "usage", "guard"} {
		p.cli("multica-rollup --config " + p.configPath() + " " + command)
	}
	labtest.Script(t, p.server.DSN(p.name), "", "-q", "-v", "role="+role, "-f", roleScript)
	p.wellNow()
	p.neverDenied(role)
}

// TestARefusalPrintsTheGrantOfTheColumnsThatLack follows it.
func TestARefusalPrintsTheGrantOfTheColumnsThatLack(t *testing.T) {
	p := newPatient(t, lab.Gen272)
	role := p.agent()
	p.exec("revoke select (workspace_id) on agent from " + role + "; revoke select on issue, task_usage_hourly from " + role)
	p.configure()
	var out bytes.Buffer
	err := cli.Run(t.Context(), []string{"--as-root", "--config", p.configPath(), "run"}, strings.NewReader(""), &out, &out)
	want := "grant select on public.task_usage_hourly to " + role + "; grant select (workspace_id) on public.agent to " + role + "; grant select (id, project_id) on public.issue to " + role + ";"
	if got := problem.HintOf(err); cli.ExitCode(err) != 77 || !strings.HasPrefix(got, want) {
		t.Fatalf("%v; hint: %s; want %s", err, got, want)
	}
	p.exec(want)
	p.run()
}

// TestNarrowingTheRoleLeavesTheNamesThatItWasGranted: a revoke of the table takes columns away too.
func TestNarrowingTheRoleLeavesTheNamesThatItWasGranted(t *testing.T) {
	p := newPatient(t, lab.Gen272)
	role := p.agent()
	labtest.Script(t, p.server.DSN(p.name), "", "-q", "-v", "role="+role, "-f", "../../configs/role-names.sql")
	p.exec("grant select on agent, agent_task_queue, issue to " + role)
	p.carryOut(p.only("privileges"), nil)
	p.wellNow()
	var name, created bool
	p.get(&name, "select has_column_privilege($1, 'agent', 'name', 'select')", role)
	p.get(&created, "select has_column_privilege($1, 'agent', 'created_at', 'select')", role)
	if !name || created {
		t.Errorf("names are readable: %v, what is not needed: %v; want the names alone", name, created)
	}
}
