package doctor_test

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/multica-rollup/multica-rollup/internal/doctor"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// schemaCauses are those of tables, functions, roles and rights.
func schemaCauses() []cause {
	return []cause{
		{
			name: "a role that may not log in", id: "reach", verdict: doctor.Critical, fix: "alter role",
			make: func(p *patient) { p.exec("alter role " + p.agent() + " nologin") },
		}, {
			name: "no slot left for the role", id: "reach", verdict: doctor.Critical, fix: "connection limit -1",
			make: func(p *patient) { p.exec("alter role " + p.agent() + " connection limit 0") },
		}, {
			name: "a database closed to the role", id: "reach", verdict: doctor.Critical, fix: "grant connect on database",
			make: func(p *patient) {
				p.agent()
				p.exec("revoke connect on database " + p.name + " from public")
			},
		}, {
			name: "a database that does not exist", id: "reach", verdict: doctor.Critical, fix: "name Multica's database",
			make: func(p *patient) { p.dsn = p.server.DSN("no_such_database") },
			mend: func(p *patient) { p.dsn = p.server.DSN(p.name) },
		}, {
			name: "a role without rights", id: "privileges", verdict: doctor.Critical, fix: "grant select", says: "task_usage_hourly",
			make: func(p *patient) {
				role := p.role("in role pg_read_all_stats")
				p.exec("grant usage on schema public to " + role)
			},
		}, {
			name: "one right missing", id: "privileges", verdict: doctor.Critical, fix: "grant delete on public.task_usage_hourly_dirty to",
			make: func(p *patient) { p.exec("revoke delete on task_usage_hourly_dirty from " + p.agent()) },
		}, {
			name: "one column missing", id: "privileges", verdict: doctor.Critical, fix: "grant select (workspace_id) on public.agent to agent_",
			make: func(p *patient) { p.exec("revoke select (workspace_id) on agent from " + p.agent()) },
		}, {
			name: "whole tables where columns do", id: "privileges", verdict: doctor.Warning, says: "needs id, project_id, and may read",
			fix:  "revoke select on public.agent from agent_",
			make: func(p *patient) { p.exec("grant select on agent, agent_task_queue, issue to " + p.agent()) },
		}, {
			name: "a table that came after the role", id: "privileges", verdict: doctor.Warning, fix: "grant select on public.sys_cron_executions to", says: "works without",
			make: func(p *patient) { p.exec("revoke select on sys_cron_executions from " + p.agent()) },
		}, {
			name: "a schema closed to the role", id: "privileges", verdict: doctor.Critical, fix: "grant usage on schema public to",
			make: func(p *patient) {
				p.agent()
				p.exec("revoke usage on schema public from public")
			},
		}, {
			name: "others' sessions hidden", id: "activity", verdict: doctor.Warning, fix: "grant pg_read_all_stats to",
			make: func(p *patient) { p.exec("revoke pg_read_all_stats from " + p.agent()) },
		}, {
			name: "sessions that track nothing", id: "activity", verdict: doctor.Warning, fix: "set track_activities = on", says: "1 such session",
			make: func(p *patient) {
				p.begin("select now()").Exec(p.t.Context(), "set track_activities = off; commit")
			},
			mend: func(p *patient) {
				p.exec("select pg_terminate_backend(pid, 10000) from pg_stat_activity where state = 'disabled' and datname = current_database()")
			},
		}, {
			name: "a membership that is not inherited", id: "activity", verdict: doctor.Warning, fix: "grant pg_read_all_stats to",
			make: func(p *patient) {
				role := p.agent()
				if p.modern() {
					p.exec("grant pg_read_all_stats to " + role + " with inherit false")
				} else {
					p.exec("alter role " + role + " noinherit")
				}
			},
		}, {
			name: "a role that inherits nothing", id: "activity", verdict: doctor.Warning, fix: "grant pg_read_all_stats to",
			make: func(p *patient) {
				role := p.agent()
				p.exec("revoke pg_read_all_stats from " + role + "; alter role " + role + " noinherit")
			},
		}, {
			name: "row-level security", id: "rows", verdict: doctor.Critical, fix: "bypassrls", says: "task_usage",
			make: func(p *patient) {
				p.agent()
				p.exec("alter table task_usage enable row level security")
			},
		}, {
			name: "tables in a schema of their own", id: "search-path", verdict: doctor.Critical, fix: "set search_path = multica, public",
			make: func(p *patient) {
				p.exec("create schema multica")
				p.exec(`do $$ declare o regclass; f regprocedure; begin
					for o in select oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' loop execute format('alter table %s set schema multica', o); end loop;
					for f in select oid from pg_proc where pronamespace = 'public'::regnamespace loop execute format('alter function %s set schema multica', f); end loop;
				end $$`)
			},
		}, {
			name: "a function dropped", id: "pipeline", verdict: doctor.Critical, fix: "pg_dump --schema-only", says: "rollup_task_usage_hourly_window",
			make: func(p *patient) {
				p.exec("drop function rollup_task_usage_hourly_window(timestamptz, timestamptz)")
			},
			mend: func(p *patient) {
				var definition string
				fresh := labtest.New(p.t, p.gen)
				if err := fresh.Conn.QueryRow(p.t.Context(), "select pg_get_functiondef('rollup_task_usage_hourly_window'::regproc)").Scan(&definition); err != nil {
					p.t.Fatal(err)
				}
				p.exec(definition) // which is what pg_dump writes
			},
		}, {
			name: "the state row deleted", id: "pipeline", verdict: doctor.Critical, fix: "insert into task_usage_hourly_rollup_state",
			make: func(p *patient) { p.exec("delete from task_usage_hourly_rollup_state") },
			then: []string{"watermark-epoch"},
		}, {
			name: "of the hourly table", id: "constraint", verdict: doctor.Critical, fix: "add constraint uq_task_usage_hourly_key unique nulls not distinct",
			make: func(p *patient) {
				p.exec("alter table task_usage_hourly drop constraint uq_task_usage_hourly_key")
			},
		}, {
			name: "of the queue, in the old form", id: "constraint", verdict: doctor.Critical, fix: "add constraint uq_task_usage_hourly_dirty_key",
			make: func(p *patient) {
				p.exec(`alter table task_usage_hourly_dirty drop constraint uq_task_usage_hourly_dirty_key, add constraint uq_task_usage_hourly_dirty_key
					unique (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)`)
			},
		}, {
			name: "dropped", id: "triggers", verdict: doctor.Critical, fix: "create trigger trg_atq_dirty_hourly before update of runtime_id, issue_id or delete",
			make: func(p *patient) { p.exec("drop trigger trg_atq_dirty_hourly on agent_task_queue") },
		}, {
			name: "disabled", id: "triggers", verdict: doctor.Critical, fix: "alter table issue enable trigger trg_issue_delete_dirty_hourly",
			make: func(p *patient) { p.exec("alter table issue disable trigger trg_issue_delete_dirty_hourly") },
		}, {
			name: "unknown", id: "fingerprints", verdict: doctor.Warning, fix: `engine = "set"`, says: "rollup_task_usage_hourly_window",
			make: func(p *patient) { p.lines["engine"] = `"auto"` },
		}, {
			name: "no index", id: "engine", verdict: doctor.Warning, fix: "create index concurrently on task_usage (updated_at)",
			make: func(p *patient) { p.exec("drop index idx_task_usage_updated_at") },
		}, {
			name: "an unknown column", id: "engine", verdict: doctor.Warning, fix: "upgrade multica-rollup", says: "carbon_grams",
			make: func(p *patient) {
				p.exec("alter table task_usage_hourly add column carbon_grams bigint not null default 0")
			},
			// There is no release that knows it: the database goes back to one that this release knows.
			mend: func(p *patient) { p.exec("alter table task_usage_hourly drop column carbon_grams") },
		},
	}
}

// sessionCauses are those of other sessions.
func sessionCauses() []cause {
	return []cause{
		{
			name: "leaked by a cancelled tick on a pooled session", gen: lab.Gen102, id: "lock", verdict: doctor.Critical,
			fix: "select pg_terminate_backend(", says: "before Multica v0.4.23",
			make: func(p *patient) {
				p.env.Limits.IdleLock = 10 * time.Millisecond
				p.leakLock()
				p.use(3 * time.Hour) // the lag that follows is no finding of its own
				p.exec("update task_usage_hourly_rollup_state set watermark_at = now() - interval '4 hours', last_run_finished_at = now() - interval '4 hours' + interval '5 minutes'")
			},
			then: []string{"watermark-behind"},
		}, {
			name: "held by an idle transaction", id: "lock", verdict: doctor.Critical, fix: "select pg_terminate_backend(", says: "idle in transaction",
			make: func(p *patient) {
				p.env.Limits.IdleLock, p.env.Limits.OpenTx = 10*time.Millisecond, 10*time.Millisecond
				p.begin("select pg_advisory_xact_lock(4246)")
				time.Sleep(50 * time.Millisecond)
			},
		}, {
			name: "held by a long backfill", id: "lock", verdict: doctor.Warning, fix: "select pg_terminate_backend(", says: "upstream-backfill",
			make: func(p *patient) {
				p.env.Limits.BusyLock = 10 * time.Millisecond
				p.work("upstream-backfill")
			},
		}, {
			name: "held by the migration's own backfill", gen: lab.GenInterrupted, id: "lock", verdict: doctor.Critical, fix: "stop Multica's backend, then multica-rollup ", says: "stopping Multica's backend is safe",
			make: func(p *patient) {
				p.env.Limits.BusyLock = 10 * time.Millisecond
				p.unroll()
				p.work("multica-migrate")
			},
			mend: func(p *patient) {
				// The backend is stopped, and its sessions with it.
				p.exec("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'multica-migrate'")
				p.cli("multica-rollup --config " + p.configPath() + " guard --fix")
			},
		}, {
			name: "left open", id: "transactions", verdict: doctor.Warning, fix: "select pg_terminate_backend(", says: "idle in transaction",
			make: func(p *patient) {
				p.env.Limits.OpenTx = 10 * time.Millisecond
				p.begin("select count(*) from task_usage") // a dump, which nothing waits for
				p.begin("update task_usage set updated_at = now() where false")
				time.Sleep(50 * time.Millisecond)
			},
		}, {
			name: "prepared and forgotten", id: "transactions", verdict: doctor.Warning, fix: "commit prepared 'forgotten'",
			make: func(p *patient) {
				p.env.Limits.OpenTx = 10 * time.Millisecond
				p.begin("select now()").Exec(p.t.Context(), "prepare transaction 'forgotten'")
				time.Sleep(50 * time.Millisecond)
			},
			mend: func(p *patient) { p.exec("commit prepared 'forgotten'") },
		},
	}
}

// agent makes a role with exactly what role.sql gives, and has the agent use it.
func (p *patient) agent() string {
	p.t.Helper()
	role := p.role("")
	labtest.Script(p.t, p.server.DSN(p.name), "", "-q", "-v", "role="+role, "-f", roleScript)
	return role
}

// modern says whether a membership itself says if it is inherited, as from PostgreSQL 16 on.
func (p *patient) modern() (yes bool) {
	p.get(&yes, "select current_setting('server_version_num')::int >= 160000")
	return yes
}

// leakLock cancels a tick on a session that stays open, as a pool's do. The tick
// hangs at the state row meanwhile, after it took the lock.
func (p *patient) leakLock() {
	p.t.Helper()
	blocker := p.begin("select from task_usage_hourly_rollup_state for update")
	config, err := pgx.ParseConfig(p.server.DSN(p.name))
	if err != nil {
		p.t.Fatal(err)
	}
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: 10 * time.Second}
	}
	pooled, err := pgx.ConnectConfig(p.t.Context(), config)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = pooled.Close(context.Background()) })
	ctx, cancel := context.WithCancel(p.t.Context())
	defer cancel()
	ticked := make(chan error, 1)
	go func() {
		_, err := pooled.Exec(ctx, "select rollup_task_usage_hourly()")
		ticked <- err
	}()
	p.await("select exists (select from pg_locks where locktype = 'advisory' and objid = 4246 and granted)")
	cancel()
	if err := <-ticked; err == nil {
		p.t.Fatal("the tick was not cancelled")
	}
	if _, err := blocker.Exec(p.t.Context(), "rollback"); err != nil {
		p.t.Fatal(err)
	}
	if _, err := pooled.Exec(p.t.Context(), "select 1"); err != nil {
		p.t.Fatalf("the session has ended with the tick: %v", err)
	}
}

// work has a session hold lock 4246 and work.
func (p *patient) work(application string) {
	p.t.Helper()
	conn := p.connect()
	if _, err := conn.Exec(p.t.Context(), fmt.Sprintf("set application_name = '%s'; select pg_advisory_lock(4246)", application)); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = conn.Exec(context.Background(), "select pg_sleep(120)") // ended by the fix, or below
	}()
	p.t.Cleanup(func() {
		super, err := pgx.Connect(context.Background(), p.server.DSN(p.name))
		if err != nil {
			p.t.Error(err)
			return
		}
		defer super.Close(context.Background())
		if _, err := super.Exec(context.Background(), "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", application); err != nil {
			p.t.Error(err)
		}
		<-ended
	})
	p.await("select exists (select from pg_stat_activity where application_name = $1 and state = 'active' and xact_start < clock_timestamp() - interval '50 ms')", application)
}

// await waits until a query returns true.
func (p *patient) await(sql string, args ...any) {
	p.t.Helper()
	for deadline := time.Now().Add(labtest.Guard); ; time.Sleep(10 * time.Millisecond) {
		var done bool
		if p.get(&done, sql, args...); done {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s did not come true", sql)
		}
	}
}
