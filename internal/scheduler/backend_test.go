package scheduler_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
)

func TestMain(m *testing.M) { labtest.Main(m) }

func exec(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// TestTheBackendsSchedulerIsSeenWhateverItsTableLooksLike goes through forms of sys_cron_executions.
func TestTheBackendsSchedulerIsSeenWhateverItsTableLooksLike(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seen := func() *scheduler.Scheduler {
		t.Helper()
		found, err := scheduler.Read(t.Context(), scheduler.Without(scheduler.Kinds(), scheduler.PgCron),
			scheduler.Source{Conn: db.Conn, Settings: pg.TxSettings{ReadOnly: true}, Database: db.Name})
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			return nil
		}
		return &found[0]
	}
	if s := seen(); s != nil {
		t.Errorf("without records: got %+v", s)
	}
	// Multica's own form, of the lab: an execution that failed is one that ran.
	for status, set := range map[string]string{"RUNNING": "started_at", "SUCCESS": "started_at, finished_at", "FAILED": "started_at, finished_at"} {
		for age, active := range map[time.Duration]bool{10 * time.Minute: true, 3 * time.Hour: false} {
			exec(t, db.Conn, "truncate sys_cron_executions")
			values := "now() - $1::int * interval '1 second'"
			if status != "RUNNING" {
				values += ", now() - $1::int * interval '1 second'"
			}
			exec(t, db.Conn, "insert into sys_cron_executions (job_name, plan_time, created_at, status, "+set+
				") select 'rollup_task_usage_hourly', at, at, '"+status+"', "+values+" from (select now() - $1::int * interval '1 second' as at) x", int(age.Seconds()))
			s := seen()
			if s == nil || s.Kind != "backend" || s.Active != active || s.LastRun == nil || time.Since(*s.LastRun) < age-time.Second || time.Since(*s.LastRun) > age+labtest.Guard {
				t.Errorf("%s, %s ago: got %+v, want it active: %t", status, age, s, active)
			}
		}
	}
	exec(t, db.Conn, "truncate sys_cron_executions")
	exec(t, db.Conn, "insert into sys_cron_executions (job_name, plan_time, status) values ('another_job', now(), 'SUCCESS')")
	if s := seen(); s != nil {
		t.Errorf("with another job's records: got %+v", s)
	}
	for at, form := range map[string]string{
		"started_at": "(job_name text, started_at timestamptz, finished_at timestamptz)",
		"plan_time":  "(job_name text, plan_time timestamptz, other text)",
		"created_at": "(id int, job_name text, created_at timestamptz)",
	} {
		for age, active := range map[time.Duration]bool{10 * time.Minute: true, 3 * time.Hour: false} {
			exec(t, db.Conn, "drop table sys_cron_executions")
			exec(t, db.Conn, "create table sys_cron_executions "+form)
			exec(t, db.Conn, "insert into sys_cron_executions (job_name, "+at+") select j, now() - a * interval '1 second' from (values ('rollup_task_usage_hourly', $1::int), ('rollup_task_usage_hourly', 80000), ('another', 0)) v(j, a)", int(age.Seconds()))
			s := seen()
			if s == nil || s.Kind != "backend" || s.Active != active || s.LastRun == nil || time.Since(*s.LastRun) < age-time.Second || time.Since(*s.LastRun) > age+labtest.Guard {
				t.Errorf("%s, %s ago: got %+v, want it active: %t", form, age, s, active)
			}
		}
	}
	exec(t, db.Conn, "truncate sys_cron_executions")
	if s := seen(); s != nil {
		t.Errorf("without records again: got %+v", s)
	}
	exec(t, db.Conn, "drop table sys_cron_executions")
	exec(t, db.Conn, "create table sys_cron_executions (name text)")
	if s := seen(); s != nil {
		t.Errorf("with a table of another kind: got %+v", s)
	}
}
