package doctor_test

import (
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/doctor"
	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// The causes here need a server of their own, to be stopped or configured anew.

func TestAServerThatIsDownIsNamedAlone(t *testing.T) {
	t.Parallel()
	c := newCluster(t, nil)
	cause{
		name: "down", id: "reach", verdict: doctor.Critical, fix: "systemctl start postgresql", says: "there is no socket",
		make: func(*patient) { c.ctl("stop") },
		mend: func(*patient) { c.ctl("start") },
	}.treat(t, c.patient(lab.Gen102))
}

func TestTheWrongDatabaseIsNamedAloneAndTheRightOneFound(t *testing.T) {
	t.Parallel()
	c := newCluster(t, nil)
	cause{
		name: "postgres", id: "database", verdict: doctor.Critical, fix: "name database multica in the DSN of", says: "database multica of the same server has it",
		make: func(p *patient) { p.dsn = c.server.DSN("postgres") },
		mend: func(p *patient) { p.dsn = c.server.DSN("multica") },
	}.treat(t, c.patient(lab.Gen213))
}

func TestAStandbyIsNamedAlone(t *testing.T) {
	t.Parallel()
	c := newCluster(t, nil)
	p := c.patient(lab.Gen272)
	dir, port := c.standby()
	host, primary := address(t, c.server.DSN("multica"))
	cause{
		name: "standby", id: "standby", verdict: doctor.Critical, fix: "target_session_attrs=read-write",
		make: func(p *patient) { p.dsn = "postgres://postgres@/multica?host=" + dir + "&port=" + port },
		mend: func(p *patient) {
			p.dsn = "host=" + dir + "," + host + " port=" + port + "," + primary + " user=postgres dbname=multica target_session_attrs=read-write"
		},
	}.treat(t, p)
}

func TestAPoolerIsFoundOnlyWhereItHarms(t *testing.T) {
	t.Parallel()
	c := newCluster(t, nil)
	p := c.patient(lab.Gen272)
	b := c.bouncer("session")
	p.dsn = b.dsn()
	p.wellNow()
	b.stop()
	b.start("transaction")
	cause{
		name: "statement mode", id: "pooler", verdict: doctor.Critical, fix: "pool_mode = transaction",
		make: func(*patient) { b.stop(); b.start("statement") },
		mend: func(*patient) { b.stop(); b.start("transaction") },
	}.treat(t, p)
	for _, f := range p.examine("pooler").Findings {
		if f.ID == "pooler" && f.Summary != "a pooler is in between, in a mode that does no harm" {
			t.Errorf("behind a pooler it says %q", f.Summary)
		}
	}
}

// cronSettings have pg_cron work in that database, without a network.
func cronSettings(database string) map[string]string {
	return map[string]string{
		"shared_preload_libraries": "pg_cron", "cron.database_name": database, "cron.use_background_workers": "on",
	}
}

const everyMinute = "select cron.schedule('multica', '* * * * *', 'select rollup_task_usage_hourly()')"

func TestPgCronThatRunsTheRollUpInTheWrongDatabase(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cronSettings("postgres"))
	p := c.patient(lab.Gen272)
	cause{
		name: "wrong database", id: "pgcron-database", verdict: doctor.Warning, fix: "psql -d postgres -c 'select cron.alter_job(", says: "does not exist",
		make: func(*patient) {
			c.do("postgres", "create extension pg_cron")
			c.do("postgres", everyMinute)
			c.await("postgres", "select exists (select from cron.job_run_details where status = 'failed')")
		},
		mend: func(p *patient) {
			p.carryOut(p.only("pgcron-database"), nil)
			c.await("postgres", "select exists (select from cron.job_run_details where status = 'succeeded')")
		},
	}.treat(t, p)
}

func TestPgCronWithoutAJobIsGivenOneWhereThereIsNoSystemd(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cronSettings("multica"))
	p := c.patient(lab.Gen272)
	// The launcher gives up until its database is there, and comes back a moment later.
	c.await("multica", "select exists (select from pg_stat_activity where backend_type = 'pg_cron launcher' and datname = 'multica')")
	cause{
		name: "no job", id: "scheduler", verdict: doctor.Critical, fix: " pgcron install", says: "no job of pg_cron",
		make: func(p *patient) {
			p.units = nil
			p.neglect()
		},
		then: []string{"watermark-behind"},
	}.treat(t, p)
}

func TestPgCronThatDoesNotSeeItsJob(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cronSettings("multica"))
	p := c.patient(lab.Gen102)
	c.do("multica", "create extension pg_cron")
	c.do("multica", everyMinute)
	// What is changed by alter system stands above the file, so the file can break it once only.
	restart := func(p *patient) {
		c.ctl("restart")
		p.conn = c.connect("multica")
		c.await("multica", "select current_setting('shared_preload_libraries') = '' or exists (select from pg_stat_activity where backend_type = 'pg_cron launcher' and datname is not null)")
	}
	mend := func(id string) func(*patient) {
		return func(p *patient) {
			p.carryOut(p.only(id), nil)
			restart(p)
		}
	}
	for _, cause := range []cause{
		{
			name: "launcher elsewhere", id: "pgcron-database", verdict: doctor.Warning, fix: "alter system set cron.database_name = ", says: "works in database postgres",
			make: func(p *patient) {
				c.set("cron.database_name = 'postgres'")
				restart(p)
			},
			mend: mend("pgcron-database"),
		}, {
			name: "not preloaded", id: "pgcron-preload", verdict: doctor.Warning, fix: "alter system set shared_preload_libraries = pg_cron", says: "never runs",
			make: func(p *patient) {
				c.set("shared_preload_libraries = ''")
				restart(p)
			},
			mend: mend("pgcron-preload"),
		}, {
			name: "switched off", id: "pgcron-job", verdict: doctor.Warning, fix: "active := true", says: "switched off",
			make: func(*patient) { c.do("multica", "select cron.alter_job(jobid, active := false) from cron.job") },
		}, {
			name: "somebody's job beside the timer", id: "duplicates", verdict: doctor.Warning, fix: "psql -d multica -c 'select cron.unschedule(1)'", says: "pg_cron: job 1",
			make: func(p *patient) { p.units = timerOn() },
		}, {
			name: "our own job beside the timer", id: "duplicates", verdict: doctor.Warning, fix: "pgcron remove", says: "pg_cron: job 2",
			make: func(*patient) { c.do("multica", strings.Replace(everyMinute, "'multica'", "'multica-rollup'", 1)) },
		},
	} {
		cause.treat(t, p)
	}
}

func TestPgCronWhoseJobFails(t *testing.T) {
	t.Parallel()
	settings := cronSettings("multica")
	settings["cron.use_background_workers"] = "off" // so it connects to a port where nobody listens
	c := newCluster(t, settings)
	p := c.patient(lab.Gen272)
	cause{
		name: "cannot connect", id: "pgcron-job", verdict: doctor.Warning, fix: "alter system set cron.use_background_workers = on", says: "connection failed",
		make: func(*patient) {
			c.do("multica", "create extension pg_cron")
			c.do("multica", everyMinute)
			c.await("multica", "select exists (select from cron.job_run_details where status = 'failed')")
		},
		mend: func(p *patient) {
			p.carryOut(p.only("pgcron-job"), nil)
			c.ctl("restart")
			c.await("multica", "select exists (select from cron.job_run_details where status = 'succeeded')")
			p.conn = c.connect("multica")
		},
	}.treat(t, p)
}
