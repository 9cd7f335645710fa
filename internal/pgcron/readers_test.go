package pgcron_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/lab/lacks"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pgcron/catalog"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
	"github.com/multica-rollup/multica-rollup/internal/state"
	"github.com/multica-rollup/multica-rollup/internal/status"
)

// shown is what status says of pg_cron's jobs.
func shown(t *testing.T, s *lab.Server, database string) []report.Scheduler {
	t.Helper()
	connector, err := pg.NewConnector(s.DSN(database), "multica-rollup/status")
	if err != nil {
		t.Fatal(err)
	}
	store, err := state.Open(t.TempDir(), state.Key("7", "", "database"), "database")
	if err != nil {
		t.Fatal(err)
	}
	got, err := status.Gather(t.Context(), status.Options{
		Connector: connector, Known: pipeline.Shipped(), Schedulers: scheduler.Kinds(), Engine: "auto", Now: time.Now,
		Store: func(*pipeline.Pipeline) *state.Store { return store },
	})
	if err != nil {
		t.Fatal(err)
	}
	return got.Schedulers
}

// lastRun adds a run to every job, as pg_cron writes it: a connection that failed has no times.
const lastRun = `insert into cron.job_run_details (jobid, runid, username, status, return_message, start_time, end_time)
	select jobid, $1, username, $2, 'message', $3, $4 from cron.job`

func TestStatusAndPgcronSayTheSameOfAJob(t *testing.T) {
	early, late := time.Now().Add(-time.Hour).UTC().Truncate(time.Second), time.Now().Add(-time.Minute)
	for _, c := range []struct {
		name    string
		server  *lab.Server
		command string
		runs    [][]any // of lastRun
		status  string
		last    *time.Time
		ok      string // "" where that is not known
	}{
		{name: "in another database", server: servers.other, command: "select rollup_task_usage_hourly()"},
		{name: "in our database", server: servers.ours, command: "select rollup_task_usage_hourly()"},
		{name: "in capital letters", server: servers.other, command: "SELECT ROLLUP_TASK_USAGE_HOURLY();"},
		{name: "a run that has not ended hides no failure", server: servers.other, command: "select rollup_task_usage_hourly()",
			runs: [][]any{{1, "failed", early, early.Add(time.Second)}, {2, "running", late, nil}}, status: "failed", last: &early, ok: "no"},
		{name: "a run that could not connect has no times", server: servers.ours, command: "select rollup_task_usage_hourly()",
			runs: [][]any{{1, "succeeded", early, early.Add(time.Second)}, {2, "failed", nil, nil}}, status: "failed", ok: "no"},
		{name: "a run that succeeded", server: servers.ours, command: "select rollup_task_usage_hourly()",
			runs: [][]any{{1, "succeeded", early, early.Add(time.Second)}}, status: "succeeded", last: &early, ok: "yes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := fresh(t, c.server)
			exec(t, conn, "select cron.schedule_in_database('multica-rollup', '0 0 1 1 *', $1, 'multica')", c.command)
			for _, run := range c.runs {
				exec(t, conn, lastRun, run...)
			}
			s, err := admin(t, c.server, "", nil).Status(t.Context())
			if err != nil || s.Job == nil || s.Job.Status != c.status || s.Job.Command != c.command {
				t.Errorf("pgcron: job %+v (%v), want one that %q", s.Job, err, c.status)
			}
			jobs := shown(t, c.server, ours)
			if len(jobs) != 1 {
				t.Fatalf("status shows %+v, want one job", jobs)
			}
			ok := ""
			if jobs[0].LastOK != nil {
				ok = map[bool]string{true: "yes", false: "no"}[*jobs[0].LastOK]
			}
			if got := jobs[0]; !got.Active || ok != c.ok || (got.LastRun == nil) != (c.last == nil) || c.last != nil && !got.LastRun.Equal(*c.last) {
				t.Errorf("status: %+v, last ok %q; want an active one, last at %v, ok %q", got, ok, c.last, c.ok)
			}
		})
	}
}

// TestAJobWhoseNameHoldsTheDatabaseIsReplaced: another database had the plain name when it was made.
func TestAJobWhoseNameHoldsTheDatabaseIsReplaced(t *testing.T) {
	conn := fresh(t, servers.other)
	exec(t, conn, "select cron.schedule_in_database('multica-rollup-multica', '0 * * * *', 'select rollup_task_usage_hourly()', 'multica')")
	change, err := admin(t, servers.other, "", nil).Install(t.Context(), false)
	if err != nil || change.Job == nil {
		t.Fatalf("%+v, %v; want the job put right", change, err)
	}
	if n, all := get[int64](t, conn, scheduled), get[int64](t, conn, "select count(*) from cron.job"); n != 1 || all != 1 {
		t.Errorf("%d jobs as they should be of %d, want one of one", n, all)
	}
}

func TestTheLibraryIsFoundHoweverItIsWritten(t *testing.T) {
	labtest.Need(t, lacks.PgCron)
	server, err := lab.Start(t.Context(), lab.Options{Settings: map[string]string{
		"shared_preload_libraries": "pg_stat_statements, $libdir/pg_cron.so", "cron.database_name": "postgres", "cron.use_background_workers": "on",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	conn := connect(t, server, "postgres")
	labtest.UntilTrue(t, conn, "pg_cron runs", "select exists (select from pg_stat_activity where backend_type = 'pg_cron launcher' and datname is not null)")
	exec(t, conn, "create role nobody login")
	for _, role := range []string{"postgres", "nobody"} {
		got := asked(t, server, role)
		if got.Preload != catalog.Loaded || got.Works() != "postgres" || got.Runs("template1") || !got.Runs("postgres") {
			t.Errorf("role %s: %+v; works in %q, runs %t and %t", role, got, got.Works(), got.Runs("template1"), got.Runs("postgres"))
		}
	}
	if got := asked(t, server, "nobody"); got.Libraries != "" {
		t.Errorf("role nobody sees %q", got.Libraries)
	}
}

// asked asks a server as a role.
func asked(t *testing.T, s *lab.Server, role string) catalog.Server {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), strings.Replace(s.DSN("postgres"), "//postgres@", "//"+role+"@", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	got, err := catalog.ReadServer(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if got.User != role {
		t.Fatalf("connected as %s, want %s", got.User, role)
	}
	return got
}

// TestTheStatementThatLoadsPgCronKeepsTheOthers gives it to a server.
func TestTheStatementThatLoadsPgCronKeepsTheOthers(t *testing.T) {
	conn := connect(t, servers.without, "postgres")
	t.Cleanup(func() { exec(t, conn, "alter system reset shared_preload_libraries") })
	exec(t, conn, catalog.Server{Libraries: `pg_stat_statements,$libdir/auto_explain, "Mixed case" ,`}.Preloading())
	exec(t, conn, "select pg_reload_conf()")
	const want = `pg_stat_statements, "$libdir/auto_explain", "Mixed case", pg_cron`
	labtest.UntilTrue(t, conn, "the file has the setting", "select exists (select from pg_file_settings where name = 'shared_preload_libraries' and sourcefile like '%auto.conf' and setting = $1)", want)
}
