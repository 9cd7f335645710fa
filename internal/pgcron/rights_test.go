package pgcron_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/lab/lacks"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// owned gives everything of Multica's to a role until the test ends.
func owned(t *testing.T, data *pgx.Conn, attributes string) {
	t.Helper()
	give := func(to string) string {
		return `do $$ declare o regclass; f regprocedure; begin
			for o in select oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' loop execute format('alter table %s owner to ` + to + `', o); end loop;
			for f in select oid from pg_proc where pronamespace = 'public'::regnamespace loop execute format('alter function %s owner to ` + to + `', f); end loop; end $$`
	}
	exec(t, data, "create role proprietor "+attributes)
	exec(t, data, give("proprietor"))
	t.Cleanup(func() { exec(t, data, give("postgres")+"; drop owned by proprietor; drop role proprietor") })
}

func TestTheJobRunsWithNoMoreThanTheOwnersRights(t *testing.T) {
	for _, server := range []*lab.Server{servers.ours, servers.other} {
		t.Run("pg_cron in "+cronDatabase(server), func(t *testing.T) {
			conn := fresh(t, server)
			owned(t, connect(t, server, ours), "login")
			a := admin(t, server, "", nil)
			// What an earlier release scheduled is put right.
			exec(t, conn, "select cron.schedule_in_database('multica-rollup', '*/5 * * * *', 'select rollup_task_usage_hourly()', 'multica')")
			s, err := a.Status(t.Context())
			if err != nil || !strings.Contains(strings.Join(s.Hints, "\n"), "the job runs as superuser postgres") {
				t.Fatalf("status %+v (%v), want a hint", s, err)
			}
			if change, err := a.Install(t.Context(), false); err != nil || change.Job.User != "proprietor" {
				t.Fatalf("%+v, %v; hint: %s", change, err, problem.HintOf(err))
			}
			if n, all := get[int64](t, conn, scheduled+" and username = 'proprietor'"), get[int64](t, conn, "select count(*) from cron.job"); n != 1 || all != 1 {
				t.Errorf("%d jobs of the owner of %d, want one of one", n, all)
			}
			if again, err := a.Install(t.Context(), false); err != nil || len(again.Done) != 0 {
				t.Errorf("a second install did %+v (%v), want nothing", again, err)
			}
			if removed, err := a.Remove(t.Context()); err != nil || len(removed.Done) != 1 {
				t.Errorf("remove: %+v, %v", removed, err)
			}
		})
	}
}

// TestNoJobRunsAsASuperuserForWantOfAnother follows the hint.
func TestNoJobRunsAsASuperuserForWantOfAnother(t *testing.T) {
	conn, data := fresh(t, servers.ours), connect(t, servers.ours, ours)
	owned(t, data, "nologin")
	_, err := admin(t, servers.ours, "", nil).Install(t.Context(), false)
	wantProblem(t, err, problem.Permission, "superuser postgres")
	if !strings.Contains(problem.HintOf(err), "the role of role.sql") || get[int64](t, conn, "select count(*) from cron.job") != 0 {
		t.Fatalf("%v; hint: %s", err, problem.HintOf(err))
	}
	labtest.Script(t, servers.ours.DSN(ours), "", "-q", "-f", "../../configs/role.sql")
	t.Cleanup(func() { exec(t, data, `drop owned by "multica-rollup"; drop role "multica-rollup"`) })
	exec(t, conn, `grant usage on schema cron to "multica-rollup"`)
	a := admin(t, servers.ours, "multica-rollup", nil)
	if change, err := a.Install(t.Context(), true); err != nil || change.Job.User != "multica-rollup" {
		t.Errorf("%+v, %v; hint: %s", change, err, problem.HintOf(err))
	}
	exec(t, data, "alter table issue owner to postgres")
	_, err = admin(t, servers.ours, "", nil).Install(t.Context(), false)
	if err != nil {
		t.Errorf("the job of a lesser role is there, and yet: %v", err)
	}
	exec(t, conn, "delete from cron.job")
	_, err = admin(t, servers.ours, "", nil).Install(t.Context(), false)
	wantProblem(t, err, problem.Permission, "several owners")
}

// TestAHiddenJobLeadsToNoSecondOne: row security shows a role its own jobs. The hint is followed.
func TestAHiddenJobLeadsToNoSecondOne(t *testing.T) {
	conn, data := fresh(t, servers.other), connect(t, servers.other, ours)
	exec(t, data, role)
	exec(t, conn, "grant usage on schema cron to scheduler; grant execute on function cron.schedule_in_database to scheduler")
	t.Cleanup(func() {
		exec(t, conn, "drop owned by scheduler")
		exec(t, data, "drop owned by scheduler")
		exec(t, conn, "drop role scheduler")
	})
	exec(t, conn, "select cron.schedule_in_database('theirs', '*/5 * * * *', 'select rollup_task_usage_hourly()', 'multica')")
	a := admin(t, servers.other, "scheduler", nil)
	statement := ""
	for range 2 { // with the job, and without it
		_, err := a.Install(t.Context(), false)
		wantProblem(t, err, problem.Permission, "cannot be known")
		hint := regexp.MustCompile(`^as a superuser, in database postgres: (select .*); where that shows no job: multica-rollup pgcron install --allow-second$`).FindStringSubmatch(problem.HintOf(err))
		if hint == nil {
			t.Fatalf("hint: %s", problem.HintOf(err))
		}
		statement = hint[1]
		if shown := get[int64](t, conn, "select count(*) from ("+statement+") s"); shown != get[int64](t, conn, "select count(*) from cron.job") {
			t.Errorf("%s shows %d jobs", statement, shown)
		}
		exec(t, conn, "delete from cron.job")
	}
	if removed, err := a.Remove(t.Context()); err != nil || len(removed.Notes) != 1 || !strings.Contains(removed.Notes[0], statement) {
		t.Errorf("remove: %+v, %v; want it to say what it cannot see", removed, err)
	}
	change, err := a.Install(t.Context(), true)
	if err != nil || change.Job == nil || change.Job.User != "scheduler" {
		t.Fatalf("%+v, %v; hint: %s", change, err, problem.HintOf(err))
	}
	if again, err := a.Install(t.Context(), false); err != nil || len(again.Done) != 0 {
		t.Errorf("a second install did %+v (%v), want nothing", again, err)
	}
	// A table of jobs that was never written to hides none.
	exec(t, conn, "drop extension pg_cron; create extension pg_cron; grant usage on schema cron to scheduler; grant execute on function cron.schedule_in_database to scheduler")
	if change, err := a.Install(t.Context(), false); err != nil || change.Job == nil {
		t.Errorf("%+v, %v; hint: %s", change, err, problem.HintOf(err))
	}
}

// TestTheLinesForTheServerLetTheJobRun starts a server with the settings that the hint
// names, to the letter, whose pg_hba.conf wants a password as Debian's does.
func TestTheLinesForTheServerLetTheJobRun(t *testing.T) {
	labtest.Need(t, lacks.PgCron)
	_, err := admin(t, servers.without, "", nil).Install(t.Context(), false)
	hba := []string{"local all postgres trust", "host all all 127.0.0.1/32 scram-sha-256", "host all all ::1/128 scram-sha-256", "local all all reject"}
	settings := map[string]string{}
	for _, line := range regexp.MustCompile(`([a-z_.]+) = ('[^']*'|[a-z]+)`).FindAllStringSubmatch(problem.HintOf(err), -1) {
		settings[line[1]] = strings.Trim(line[2], "'")
	}
	if len(settings) < 2 {
		t.Fatalf("no lines in the hint: %s", problem.HintOf(err))
	}
	ran(t, lab.Options{Settings: settings, HBA: hba, TCP: true}, "succeeded")

	// Without the last of them the job fails, and install says so beforehand.
	delete(settings, "cron.use_background_workers")
	s := ran(t, lab.Options{Settings: settings, HBA: hba, TCP: true}, "failed")
	const hint = "as a superuser: alter system set cron.use_background_workers = on; then restart PostgreSQL"
	if len(s) != 2 || !strings.Contains(s[0], hint) || !strings.HasSuffix(s[1], hint) {
		t.Errorf("before and after the job failed: %q; want both to say %q", s, hint)
	}
}

// ran has a server of its own run the job, and demands how that ends. It returns what
// install, and status after that, said of a connection.
func ran(t *testing.T, o lab.Options, ends string) (said []string) {
	t.Helper()
	server, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	if err := server.CreateDatabase(t.Context(), ours, lab.Gen272); err != nil {
		t.Fatal(err)
	}
	data := connect(t, server, ours)
	exec(t, data, "create role proprietor login")
	exec(t, data, "do $$ declare o regclass; begin for o in select oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' loop execute format('alter table %s owner to proprietor', o); end loop; end $$")
	a := admin(t, server, "", nil)
	change, err := a.Install(t.Context(), false)
	if err != nil {
		t.Fatalf("%v; hint: %s", err, problem.HintOf(err))
	}
	exec(t, data, "select cron.alter_job($1, schedule := '* * * * *')", change.Job.ID)
	labtest.Until(t, "the job has run", func() error {
		time.Sleep(250 * time.Millisecond)
		return labtest.IsTrue(t.Context(), data, "select exists (select from cron.job_run_details where status in ('succeeded', 'failed'))")
	})
	if got := get[string](t, data, "select status || ': ' || return_message from cron.job_run_details where status in ('succeeded', 'failed') order by runid limit 1"); !strings.HasPrefix(got, ends) {
		t.Errorf("the job %s; want it to have %s", got, ends)
	}
	s, err := a.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range append(change.Notes, s.Hints...) {
		if strings.Contains(line, "cron.use_background_workers") {
			said = append(said, line)
		}
	}
	return said
}
