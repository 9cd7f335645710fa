package pgcron_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/lab/lacks"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pgcron"
	"github.com/multica-rollup/multica-rollup/internal/pgcron/catalog"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

// servers are the three kinds of servers there are: pg_cron works in Multica's
// own database, in another one, or is not loaded.
var servers struct{ ours, other, without *lab.Server }

const ours = "multica"

func TestMain(m *testing.M) {
	code := 1
	defer func() { os.Exit(code) }()
	for _, s := range []struct {
		server   **lab.Server
		settings map[string]string
	}{
		{&servers.ours, settings(ours)},
		{&servers.other, settings("postgres")},
		{&servers.without, map[string]string{"shared_preload_libraries": "pg_stat_statements"}},
	} {
		if s.settings["shared_preload_libraries"] == "pg_cron" {
			if _, known, err := lab.Lacks(context.Background(), lacks.PgCron); err != nil {
				panic(err)
			} else if known {
				continue // connect says so of each test
			}
		}
		server, err := lab.Start(context.Background(), lab.Options{Settings: s.settings})
		if err != nil {
			panic(err)
		}
		defer server.Stop()
		*s.server = server
		if err := server.CreateDatabase(context.Background(), ours, lab.Gen272); err != nil {
			panic(err)
		}
	}
	code = m.Run()
}

func settings(database string) map[string]string {
	return map[string]string{"shared_preload_libraries": "pg_cron", "cron.database_name": database, "cron.use_background_workers": "on"}
}

// cronDatabase is where the server's pg_cron works.
func cronDatabase(s *lab.Server) string {
	if s == servers.ours {
		return ours
	}
	return "postgres"
}

// connect opens a superuser's connection, closed when the test ends.
func connect(t *testing.T, s *lab.Server, database string) *pgx.Conn {
	t.Helper()
	if s != servers.without {
		labtest.Need(t, lacks.PgCron)
	}
	conn, err := pgx.Connect(t.Context(), s.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server ends anyway
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func get[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// fresh returns a connection to pg_cron's database, with the extension and without any job.
func fresh(t *testing.T, s *lab.Server) *pgx.Conn {
	t.Helper()
	conn := connect(t, s, cronDatabase(s))
	exec(t, conn, "create extension if not exists pg_cron")
	clean := func() { exec(t, conn, "delete from cron.job; delete from cron.job_run_details") }
	clean()
	t.Cleanup(clean)
	return conn
}

// admin works as the given role, "" for the superuser.
func admin(t *testing.T, s *lab.Server, role string, timer *units.Timer) *pgcron.Admin {
	t.Helper()
	u, err := url.Parse(s.DSN(ours))
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		u.User = url.User(role)
	}
	c, err := pg.NewConnector(u.String(), "multica-rollup/pgcron")
	if err != nil {
		t.Fatal(err)
	}
	return pgcron.New(c, pipeline.Shipped(), scheduler.Kinds(), func(context.Context) (*units.Timer, error) { return timer, nil })
}

// scheduled counts the jobs that are exactly as install makes them.
const scheduled = `select count(*) from cron.job where jobname = 'multica-rollup' and schedule = '*/5 * * * *'
	and command = 'select rollup_task_usage_hourly()' and database = 'multica' and active`

func TestInstallMakesOneJobWhereverPgCronWorks(t *testing.T) {
	for _, c := range []struct {
		name   string
		server *lab.Server
		before string // what is there already, run in pg_cron's database
		done   int    // steps that install tells of
	}{
		{"in our database", servers.ours, "select 1", 1},
		{"in another database", servers.other, "select 1", 1},
		{"without the extension", servers.ours, "drop extension pg_cron", 2},
		{"without the extension, in another database", servers.other, "drop extension pg_cron", 2},
		{"a job that is switched off", servers.ours, "select cron.schedule('multica-rollup', '*/5 * * * *', 'select rollup_task_usage_hourly()'); update cron.job set active = false", 2},
		{"a job with another schedule", servers.other, "select cron.schedule_in_database('multica-rollup', '0 * * * *', 'select rollup_task_usage_hourly()', 'multica')", 2},
		{"a job that fails in the wrong database", servers.other, `select cron.schedule('multica-rollup', '*/5 * * * *', 'select rollup_task_usage_hourly()');
			insert into cron.job_run_details (jobid, status, return_message, start_time, end_time)
			select jobid, 'failed', 'ERROR: function rollup_task_usage_hourly() does not exist', now(), now() from cron.job`, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := fresh(t, c.server)
			exec(t, conn, c.before)
			t.Cleanup(func() { exec(t, conn, "create extension if not exists pg_cron") })
			a := admin(t, c.server, "", nil)
			change, err := a.Install(t.Context(), false)
			if err != nil {
				t.Fatalf("%v; hint: %s", err, problem.HintOf(err))
			}
			if len(change.Done) != c.done || change.Job == nil {
				t.Errorf("done: %q, want %d steps", change.Done, c.done)
			}
			again, err := a.Install(t.Context(), false)
			if err != nil || len(again.Done) != 0 {
				t.Errorf("a second install did %q (%v), want nothing", again.Done, err)
			}
			if n, all := get[int64](t, conn, scheduled), get[int64](t, conn, "select count(*) from cron.job"); n != 1 || all != 1 {
				t.Errorf("%d jobs as they should be of %d, want one of one", n, all)
			}
			removed, err := a.Remove(t.Context())
			if err != nil || len(removed.Done) != 1 {
				t.Errorf("remove did %q (%v), want one step", removed.Done, err)
			}
			if removed, err = a.Remove(t.Context()); err != nil || len(removed.Done) != 0 {
				t.Errorf("a second remove did %q (%v), want nothing", removed.Done, err)
			}
			if n := get[int64](t, conn, "select count(*) from cron.job"); n != 0 {
				t.Errorf("%d jobs are left", n)
			}
		})
	}
}

func TestTheJobRollsUp(t *testing.T) {
	// Every minute, since a test cannot wait for five; pg_cron knows no shorter schedule.
	conn := fresh(t, servers.other)
	data := connect(t, servers.other, ours)
	if _, err := lab.Seed(t.Context(), data, lab.Shape{Seed: 1, Tasks: 50, Months: 1}); err != nil {
		t.Fatal(err)
	}
	exec(t, data, "update task_usage_hourly_rollup_state set watermark_at = (select min(created_at) from task_usage)")
	t.Cleanup(func() {
		exec(t, data, "truncate task_usage, task_usage_hourly; update task_usage_hourly_rollup_state set watermark_at = default")
	})
	a := admin(t, servers.other, "", nil)
	change, err := a.Install(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if len(change.Notes) != 1 || !strings.Contains(change.Notes[0], "multica-rollup backfill") {
		t.Errorf("notes %q, want one about the backfill", change.Notes)
	}
	exec(t, conn, "select cron.alter_job($1, schedule := '* * * * *')", change.Job.ID)
	deadline := time.Now().Add(100 * time.Second)
	for {
		s, err := a.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Runs) > 0 && s.Runs[0].Status != "running" && s.Runs[0].Status != "starting" {
			if s.Runs[0].Status != "succeeded" || s.Runs[0].Ended == nil {
				t.Errorf("the run: %+v", s.Runs[0])
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("pg_cron has not run the job: %+v", s)
		}
		time.Sleep(500 * time.Millisecond)
	}
	if n := get[int64](t, data, "select count(*) from task_usage_hourly"); n == 0 {
		t.Error("the job ran and rolled nothing up")
	}
}

func TestInstallRefusesASecondScheduler(t *testing.T) {
	for _, c := range []struct {
		name, sql, data string
		timer           *units.Timer
		says, hint      string
	}{
		{name: "our timer", timer: &units.Timer{Name: "multica-rollup.timer", Enabled: true}, says: "multica-rollup.timer", hint: "systemctl disable --now multica-rollup.timer"},
		{name: "the backend", data: "insert into sys_cron_executions (job_name, plan_time, status) values ('rollup_task_usage_hourly', now(), 'SUCCESS')", says: "Multica's own scheduler", hint: "nothing to do"},
		{name: "another job", sql: "select cron.schedule_in_database('usage', '*/10 * * * *', 'SELECT public.rollup_task_usage_hourly();', 'multica')", says: `"usage"`, hint: "select cron.unschedule("},
		{name: "a job without a name", sql: "insert into cron.job (schedule, command, nodeport, database) values ('*/10 * * * *', 'select rollup_task_usage_hourly()', 5432, 'multica')", says: "another job", hint: "select cron.unschedule("},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, data := fresh(t, servers.other), connect(t, servers.other, ours)
			if c.sql != "" {
				exec(t, conn, c.sql)
			}
			if c.data != "" {
				exec(t, data, c.data)
				t.Cleanup(func() { exec(t, data, "truncate sys_cron_executions") })
			}
			a := admin(t, servers.other, "", c.timer)
			_, err := a.Install(t.Context(), false)
			if err == nil || problem.KindOf(err) != problem.Failed || !strings.Contains(err.Error(), c.says) || !strings.Contains(problem.HintOf(err), c.hint) {
				t.Fatalf("error %v, hint %q; want one of %q with %q", err, problem.HintOf(err), c.says, c.hint)
			}
			if n := get[int64](t, conn, scheduled); n != 0 {
				t.Error("the job was scheduled all the same")
			}
			if _, err := a.Install(t.Context(), true); err != nil {
				t.Fatalf("--allow-second: %v", err)
			}
			s, err := a.Status(t.Context())
			if err != nil || len(s.Others)+len(s.Second) != 1 || !strings.Contains(strings.Join(s.Hints, "\n"), "do the same work") {
				t.Errorf("status %+v (%v), want the other scheduler and a hint", s, err)
			}
		})
	}
}

func TestAJobThatIsSwitchedOffIsNoScheduler(t *testing.T) {
	conn := fresh(t, servers.ours)
	exec(t, conn, "select cron.schedule('usage', '*/10 * * * *', 'select rollup_task_usage_hourly()'); update cron.job set active = false")
	if _, err := admin(t, servers.ours, "", nil).Install(t.Context(), false); err != nil {
		t.Errorf("error %v beside a job that does nothing", err)
	}
}

func TestTwoMulticaDatabasesOnOneServerHaveAJobEach(t *testing.T) {
	conn := fresh(t, servers.other)
	if err := servers.other.CreateDatabase(t.Context(), "multica_two", lab.Gen102); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, "select cron.schedule_in_database('multica-rollup', '*/5 * * * *', 'select rollup_task_usage_hourly()', 'multica_two')")
	a := admin(t, servers.other, "", nil)
	change, err := a.Install(t.Context(), false)
	if err != nil || change.Job == nil || change.Job.Name != "multica-rollup-multica" {
		t.Fatalf("%+v, %v; want a job of its own name", change, err)
	}
	if again, err := a.Install(t.Context(), false); err != nil || len(again.Done) != 0 {
		t.Errorf("a second install did %+v (%v), want nothing", again, err)
	}
	if _, err := a.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := get[int64](t, conn, "select count(*) from cron.job where database = 'multica_two'"); n != 1 {
		t.Error("the other database's job is gone")
	}
}

func TestRemoveTakesWhatRollsUpAndNothingElse(t *testing.T) {
	conn := fresh(t, servers.other)
	if err := servers.other.CreateDatabase(t.Context(), "multica_three", lab.Gen102); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ command, database string }{
		"multica-rollup":           {pgcron.Command, ours},
		"rollup_task_usage_hourly": {"SELECT rollup_task_usage_hourly();", ours},
		"from":                     {`select * from "public".rollup_task_usage_hourly()`, ours},
		"more":                     {"select rollup_task_usage_hourly(); vacuum", ours},
		"elsewhere":                {pgcron.Command, "multica_three"},
		"other work":               {"vacuum", ours},
	} {
		exec(t, conn, "select cron.schedule_in_database($1, '*/5 * * * *', $2, $3)", name, c.command, c.database)
	}
	change, err := admin(t, servers.other, "", nil).Remove(t.Context())
	if err != nil || len(change.Done) != 3 || len(change.Notes) != 1 || !strings.Contains(change.Notes[0], `"more"`) {
		t.Errorf("done %q, notes %q (%v); want three removed and one named", change.Done, change.Notes, err)
	}
	if left := get[string](t, conn, "select string_agg(jobname, ',' order by jobname) from cron.job"); left != "elsewhere,more,other work" {
		t.Errorf("left are %s", left)
	}
}

func TestAJobThatNothingRunsIsShownAndRemoved(t *testing.T) {
	fresh(t, servers.other)
	// The one name under which pg_cron lets itself be created where it does not work.
	const database = "contrib_regression"
	if err := servers.other.CreateDatabase(t.Context(), database, lab.Gen272); err != nil {
		t.Fatal(err)
	}
	exec(t, connect(t, servers.other, database), "create extension pg_cron; select cron.schedule_in_database('usage', '*/5 * * * *', 'select rollup_task_usage_hourly()', 'contrib_regression')")
	c, err := pg.NewConnector(servers.other.DSN(database), "multica-rollup/pgcron")
	if err != nil {
		t.Fatal(err)
	}
	a := pgcron.New(c, pipeline.Shipped(), scheduler.Kinds(), nil)
	s, err := a.Status(t.Context())
	if err != nil || len(s.Kept) != 1 || !strings.Contains(strings.Join(s.Hints, "\n"), "nothing runs job") {
		t.Fatalf("status %+v, %v; want the job that nothing runs", s, err)
	}
	if jobs := shown(t, servers.other, database); len(jobs) != 1 || jobs[0].Active {
		t.Errorf("status shows %+v, want one job that is not active", jobs)
	}
	if change, err := a.Remove(t.Context()); err != nil || len(change.Done) != 1 {
		t.Errorf("remove: %+v, %v", change, err)
	}
	if s, err = a.Status(t.Context()); err != nil || len(s.Kept) != 0 {
		t.Errorf("status %+v, %v; want no job any more", s, err)
	}
}

func TestStatusShowsRunsAndTheirErrors(t *testing.T) {
	conn := fresh(t, servers.ours)
	a := admin(t, servers.ours, "", nil)
	change, err := a.Install(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, conn, `insert into cron.job_run_details (jobid, runid, username, status, return_message, start_time, end_time)
		select $1, 1000 + n, current_user, case n when 9 then 'failed' else 'succeeded' end, case n when 9 then 'connection failed' else '1 row' end,
		       now() - (10 - n) * interval '5 minutes', now() - (10 - n) * interval '5 minutes' + interval '1 second'
		from generate_series(1, 9) n`, change.Job.ID)
	s, err := a.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Runs) != 5 || s.Runs[0].Status != "failed" || s.Runs[0].Message != "connection failed" || s.Runs[1].Status != "succeeded" {
		t.Errorf("runs %+v, want five, the failed one first", s.Runs)
	}
	if !strings.Contains(strings.Join(s.Hints, "\n"), "cron.use_background_workers = on") {
		t.Errorf("hints %q, want what lets pg_cron log in", s.Hints)
	}
}

func TestWithoutPgCronTheAdministratorIsToldWhatToDo(t *testing.T) {
	labtest.Need(t, lacks.PgCron) // installed, but not loaded
	a := admin(t, servers.without, "", nil)
	_, err := a.Install(t.Context(), false)
	hint := problem.HintOf(err)
	if problem.KindOf(err) != problem.Config || !strings.Contains(err.Error(), "not loaded") ||
		!strings.Contains(hint, "shared_preload_libraries = 'pg_stat_statements,pg_cron' and cron.database_name = 'multica'") {
		t.Errorf("error %v, hint %q", err, hint)
	}
	s, err := a.Status(t.Context())
	if err != nil || s.Preload != catalog.NotLoaded || len(s.Hints) != 1 || s.Hints[0] != hint {
		t.Errorf("status %+v, %v", s, err)
	}
	if removed, err := a.Remove(t.Context()); err != nil || len(removed.Done) != 0 {
		t.Errorf("remove: %+v, %v; want nothing to do", removed, err)
	}
}

func TestAnotherDatabaseIsRefused(t *testing.T) {
	labtest.Need(t, lacks.PgCron)
	c, err := pg.NewConnector(servers.other.DSN("postgres"), "multica-rollup/pgcron")
	if err != nil {
		t.Fatal(err)
	}
	a := pgcron.New(c, pipeline.Shipped(), scheduler.Kinds(), nil)
	if _, err := a.Status(t.Context()); problem.KindOf(err) != problem.Config {
		t.Errorf("status of a database that is not Multica's: %v", err)
	}
}

// privileges of a role that only rolls up, as the administrator makes it.
const role = `create role scheduler login;
	grant select, insert, update, delete on all tables in schema public to scheduler`

func TestALesserRoleIsToldWhichGrantsItNeeds(t *testing.T) {
	for _, server := range []*lab.Server{servers.ours, servers.other} {
		name := cronDatabase(server)
		t.Run("pg_cron in "+name, func(t *testing.T) {
			conn, data := fresh(t, server), connect(t, server, ours)
			exec(t, data, role)
			t.Cleanup(func() {
				exec(t, conn, "drop owned by scheduler")
				if name != ours {
					exec(t, data, "drop owned by scheduler")
				}
				exec(t, conn, "drop role scheduler")
			})
			a := admin(t, server, "scheduler", nil)

			exec(t, conn, "drop extension pg_cron")
			_, err := a.Install(t.Context(), false)
			wantProblem(t, err, problem.Permission, "pg_cron")
			exec(t, conn, "create extension pg_cron")

			// The hints, followed one by one, lead to the job.
			for step := 0; ; step++ {
				_, err = a.Install(t.Context(), false)
				if err == nil {
					break
				}
				if step == 3 {
					t.Fatalf("after three hints: %v; hint: %s", err, problem.HintOf(err))
				}
				wantProblem(t, err, problem.Permission, "scheduler")
				_, grant, ok := strings.Cut(problem.HintOf(err), "in database "+name+": ")
				if !ok {
					grant = problem.HintOf(err)
				}
				exec(t, conn, grant)
			}
			if n := get[int64](t, conn, scheduled+" and username = 'scheduler'"); n != 1 {
				t.Errorf("%d jobs of the role, want one", n)
			}
			s, err := a.Status(t.Context())
			if err != nil || s.Job == nil || s.SeesAll {
				t.Errorf("status %+v, %v", s, err)
			}
			if removed, err := a.Remove(t.Context()); err != nil || len(removed.Done) != 1 {
				t.Errorf("remove: %+v, %v", removed, err)
			}
		})
	}
}

func wantProblem(t *testing.T, err error, kind problem.Kind, says string) {
	t.Helper()
	p, ok := errors.AsType[*problem.Error](err)
	if !ok || p.Kind != kind || !strings.Contains(p.Msg, says) || p.Hint == "" {
		t.Fatalf("error %v, want a problem of kind %d about %s with a hint", err, kind, says)
	}
}
