package doctor_test

import (
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/doctor"
)

// cronSettings have pg_cron work in that database, without a network.
func cronSettings(database string) map[string]string {
	return map[string]string{
		"shared_preload_libraries": "pg_cron", "cron.database_name": database, "cron.use_background_workers": "on",
	}
}

// cronThatConnects has pg_cron connect, as it does by default, to a port where nobody listens.
func cronThatConnects() map[string]string {
	settings := cronSettings("multica")
	settings["cron.use_background_workers"] = "off"
	return settings
}

const everyMinute = "select cron.schedule('multica', '* * * * *', 'select rollup_task_usage_hourly()')"

func (c *cluster) cronElsewhereCauses() []cause {
	return []cause{{
		name: "wrong database", id: "pgcron-database", verdict: doctor.Warning, fix: `psql -d postgres -c "select cron.alter_job(`, says: "does not exist",
		make: func(*patient) {
			c.do("postgres", "create extension pg_cron")
			c.do("postgres", everyMinute)
			c.await("postgres", "select exists (select from cron.job_run_details where status = 'failed')")
		},
		mend: func(p *patient) {
			p.carryOut(p.only("pgcron-database"), nil)
			c.await("postgres", "select exists (select from cron.job_run_details where status = 'succeeded')")
		},
	}}
}

// cronIdleCauses: where there is no systemd, a pg_cron that works is given the job.
func (c *cluster) cronIdleCauses() []cause {
	return []cause{{
		name: "no job", id: "scheduler", verdict: doctor.Critical, fix: " pgcron install", says: "no job of pg_cron",
		make: func(p *patient) {
			// The launcher gives up until its database is there, and comes back a moment later.
			c.await("multica", "select exists (select from pg_stat_activity where backend_type = 'pg_cron launcher' and datname = 'multica')")
			p.units = nil
			p.neglect()
		},
		then: []string{"watermark-behind"},
	}}
}

func withJob(c *cluster, _ *patient) {
	c.do("multica", "create extension pg_cron")
	c.do("multica", everyMinute)
}

func (c *cluster) cronCauses() []cause {
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
	return []cause{
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
			// A statement that names the libraries anew would drop those that are not seen.
			name: "not preloaded, which our role may not see", id: "pgcron-preload", verdict: doctor.Warning, fix: "grant pg_read_all_settings to agent_", says: "is hidden from role agent_",
			make: func(p *patient) {
				role := p.agent()
				p.dsn = strings.Replace(p.server.DSN(p.name), "//postgres@", "//"+role+"@", 1)
				c.do("multica", "grant usage on schema cron to "+role)
				c.do("multica", "update cron.job set username = '"+role+"'")
				c.do("multica", "alter system reset shared_preload_libraries")
				restart(p)
			},
			mend: func(p *patient) {
				p.carryOut(p.only("pgcron-preload"), nil)
				p.carryOut(p.only("pgcron-preload"), nil)
				restart(p)
				c.do("multica", "update cron.job set username = 'postgres'; drop owned by agent_multica") // what p.agent cleans up by is gone since the restart
				p.dsn = p.server.DSN(p.name)
			},
		}, {
			name: "switched off", id: "pgcron-job", verdict: doctor.Warning, fix: "active := true", says: "switched off",
			make: func(*patient) { c.do("multica", "select cron.alter_job(jobid, active := false) from cron.job") },
		}, {
			name: "somebody's job beside the timer", id: "duplicates", verdict: doctor.Warning, fix: "psql -d multica -c 'select cron.unschedule(1)'", says: "pg_cron: job 1",
			make: func(p *patient) { p.units = timerOn() },
		}, {
			name: "our own job beside the timer", id: "duplicates", verdict: doctor.Warning, fix: "pgcron remove", says: "pg_cron: job 2",
			make: func(*patient) { c.do("multica", strings.Replace(everyMinute, "'multica'", "'multica-rollup'", 1)) },
		}, {
			name: "a superuser's job with another owner's functions", id: "pgcron-job", verdict: doctor.Warning, fix: "username := ", says: "runs as superuser postgres",
			make: func(p *patient) {
				p.units = nil
				c.do("multica", everyMinute)
				c.do("multica", "create role proprietor login")
				c.do("multica", "do $$ declare o regclass; begin for o in select oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' loop execute format('alter table %s owner to proprietor', o); end loop; end $$")
			},
		},
	}
}

func (c *cluster) cronFailingCauses() []cause {
	return []cause{{
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
	}}
}

// cronDeniedCauses: the job runs as a role that was given the function alone.
func (c *cluster) cronDeniedCauses() []cause {
	return []cause{{
		name: "no rights", id: "pgcron-job", verdict: doctor.Warning, fix: "grant select (id, agent_id, issue_id, runtime_id) on agent_task_queue to worker", says: "permission denied for table",
		make: func(*patient) {
			c.do("multica", "create extension pg_cron")
			c.do("multica", "create role worker login; grant usage on schema cron to worker")
			c.do("multica", "select cron.schedule_in_database('usage', '* * * * *', 'select rollup_task_usage_hourly()', 'multica', 'worker')")
			c.await("multica", "select exists (select from cron.job_run_details where status = 'failed')")
		},
		mend: func(p *patient) {
			p.carryOut(p.only("pgcron-job"), nil)
			c.await("multica", "select exists (select from cron.job_run_details where status = 'succeeded')")
		},
	}}
}
