package doctor_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/doctor"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

// TestEveryCauseIsNamedAloneAndMended holds the causes that a shared server can show.
func TestEveryCauseIsNamedAloneAndMended(t *testing.T) {
	for _, c := range sharedCauses() {
		t.Run(c.id+"/"+c.name, func(t *testing.T) { c.treat(t, newPatient(t, c.gen)) })
	}
}

func sharedCauses() []cause {
	all := slices.Concat(hostCauses(), unitCauses(), schemaCauses(), sessionCauses(), dataCauses(), memoryCauses(), readOnlyCauses())
	for i := range all {
		if all[i].gen == "" {
			all[i].gen = lab.Gen272
		}
	}
	return slices.Concat(all, recountCauses(lab.Gen102), recountCauses(lab.Gen272))
}

// hostCauses are those on the agent's own host.
func hostCauses() []cause {
	return []cause{
		{
			name: "a password that everybody can read", id: "config", verdict: doctor.Warning, fix: "chmod 0600", says: "0644",
			make: func(p *patient) {
				p.dsn = strings.Replace(p.dsn, "postgres@", "postgres:secret@", 1)
				p.chmod(p.configPath(), 0o644)
			},
		}, {
			name: "a file that others can write", id: "config", verdict: doctor.Warning, fix: "chmod 0600", says: "0622",
			make: func(p *patient) { p.chmod(p.configPath(), 0o622) },
		}, {
			name: "a bare number for a duration", id: "config", verdict: doctor.Critical, fix: "mend what is named above", says: "walk.statement_timeout",
			make: func(p *patient) { p.lines["walk.statement_timeout"] = "5" },
			mend: func(p *patient) { p.lines["walk.statement_timeout"] = `"60s"` },
		}, {
			name: "a file in the place of the state directory", id: "state-dir", verdict: doctor.Warning, fix: "set state_dir in ",
			make: func(p *patient) { p.lines["state_dir"] = fmt.Sprintf("%q", p.configPath()+"/state") },
			mend: func(p *patient) { p.lines["state_dir"] = fmt.Sprintf("%q", filepath.Join(p.dir, "state")) },
		}, {
			name: "a state directory that cannot be written", id: "state-dir", verdict: doctor.Warning, fix: "install -d -m 0750",
			make: func(p *patient) { p.chmod(filepath.Join(p.dir, "state"), 0o550) },
		}, {
			name: "a crontab beside the timer", id: "duplicates", verdict: doctor.Warning, fix: "rm ", says: "rollup_task_usage_hourly",
			make: func(p *patient) {
				p.write("root/etc/cron.d/multica", "SHELL=/bin/sh\n# every five minutes\n*/5 * * * * postgres psql -d multica -c 'select rollup_task_usage_hourly()'\n")
			},
		}, {
			name: "the backend's own scheduler beside the timer", gen: lab.Gen213, id: "duplicates", verdict: doctor.Warning, fix: `[run] standby_lag = "15m"`,
			make: func(p *patient) {
				p.exec("insert into sys_cron_executions (job_name, plan_time, status, started_at) values ('rollup_task_usage_hourly', now() - interval '2 minutes', 'SUCCESS', now() - interval '2 minutes')")
			},
		}, {
			name: "nobody rolls up in a container", id: "scheduler", verdict: doctor.Critical, fix: " run --every 5m", says: "no systemd here",
			make: func(p *patient) {
				p.units = nil
				p.neglect()
			},
		},
	}
}

// unitCauses are those that systemd tells of, here by a stand-in, for quick
// feedback: the end-to-end tests make them on booted hosts.
func unitCauses() []cause {
	causes := []cause{
		{
			name: "never enabled", id: "timer", verdict: doctor.Critical, fix: "systemctl enable --now multica-rollup.timer",
			make: func(p *patient) {
				p.units.Timer = &units.Timer{Name: "multica-rollup.timer"}
				p.use(3 * time.Hour) // the lag that follows is no finding of its own
				p.exec("update task_usage_hourly_rollup_state set watermark_at = now() - interval '4 hours', last_run_finished_at = now() - interval '4 hours' + interval '5 minutes'")
			},
			then: []string{"watermark-behind"},
		}, {
			name: "gone after a reboot", id: "timer", verdict: doctor.Warning, fix: "systemctl enable multica-rollup.timer",
			make: func(p *patient) { p.units.Timer.Enabled = false },
		}, {
			name: "stopped", id: "timer", verdict: doctor.Critical, fix: "systemctl start multica-rollup.timer",
			make: func(p *patient) { p.units.Timer.Active = false },
		}, {
			name: "does not fire", id: "timer", verdict: doctor.Critical, fix: "systemctl restart multica-rollup.timer",
			make: func(p *patient) { p.units.Timer.Next = time.Time{} },
		}, {
			name: "failing", id: "service", verdict: doctor.Critical, fix: "systemctl start multica-rollup.service", says: "the configuration is wrong",
			make: func(p *patient) {
				p.units.Service.State, p.units.Service.Result, p.units.Service.Exit = "failed", "exit-code", 78
			},
		}, {
			name: "nobody rolls up, nor is there a timer", id: "scheduler", verdict: doctor.Critical, fix: " run --every 5m", says: "multica-rollup.timer, which the package brings, is not installed",
			make: func(p *patient) {
				p.units = &units.Units{}
				p.neglect()
			},
		}, {
			name: "masked", id: "timer", verdict: doctor.Critical, fix: "systemctl unmask multica-rollup.timer && systemctl enable --now multica-rollup.timer",
			make: func(p *patient) { p.units.Timer = &units.Timer{Name: "multica-rollup.timer", Masked: true} },
		}, {
			name: "overridden so that it fires no more", id: "timer", verdict: doctor.Critical, fix: "systemctl revert multica-rollup.timer && systemctl restart multica-rollup.timer", says: "own.conf",
			make: func(p *patient) {
				p.units.Timer.Next, p.units.Timer.Overrides = time.Time{}, []string{"/etc/systemd/system/multica-rollup.timer.d/own.conf"}
			},
		}, {
			name: "a drop-in keeps it from being started", id: "service", verdict: doctor.Critical, fix: "systemctl revert multica-rollup.service && systemctl start multica-rollup.service", says: "own.conf",
			make: func(p *patient) {
				s := p.units.Service
				s.State, s.Result, s.Exit, s.Overrides = "failed", "exit-code", 226, []string{"/etc/systemd/system/multica-rollup.service.d/own.conf"}
			},
		}, {
			name: "an interrupted backfill of the unit", id: "backfill", verdict: doctor.Warning, fix: "systemctl start multica-rollup-backfill.service",
			make: func(p *patient) {
				p.interruptBackfill()
				p.units.Backfill = &units.Service{Name: "multica-rollup-backfill.service", State: "inactive", Result: "success"}
			},
		},
	}
	for i := range causes {
		causes[i].standIn = true
	}
	return causes
}

// dataCauses are those that the data shows.
func dataCauses() []cause {
	return []cause{
		{
			name: "an upgrade stopped at 103", gen: lab.GenInterrupted, id: "guard", verdict: doctor.Critical, fix: "guard --fix", says: "would refuse",
			make: (*patient).unroll,
		}, {
			name: "a fresh install", gen: lab.Gen102, id: "watermark-epoch", verdict: doctor.Critical, fix: "backfill", says: "ticks",
			make: (*patient).unroll,
		}, {
			name: "a month behind", gen: lab.Gen213, id: "watermark-behind", verdict: doctor.Critical, fix: "backfill",
			make: func(p *patient) {
				p.exec("update task_usage_hourly_rollup_state set watermark_at = now() - interval '30 days'")
			},
		}, {
			name: "half an hour behind", id: "watermark-behind", verdict: doctor.Warning, fix: " run",
			make: func(p *patient) {
				p.use(40 * time.Minute)
				p.exec("update task_usage_hourly_rollup_state set watermark_at = now() - interval '1 hour'")
			},
		}, {
			name: "a clock step", id: "watermark-future", verdict: doctor.Critical, fix: " run",
			make: func(p *patient) {
				p.exec("update task_usage_hourly_rollup_state set watermark_at = now() + interval '1 day'")
			},
		}, {
			name: "stamped and never rolled up", id: "hourly-empty", verdict: doctor.Critical, fix: "backfill", says: "moved the watermark",
			make: func(p *patient) { p.exec("truncate task_usage_hourly") },
		}, {
			name: "about to be pruned", id: "queue", verdict: doctor.Critical, fix: " run", says: "at 7 days",
			make: func(p *patient) { p.invalidate("6 days 12 hours") },
		}, {
			name: "growing", id: "queue", verdict: doctor.Warning, fix: " run", says: "keys are queued",
			make: func(p *patient) { p.invalidate("2 hours") },
		}, {
			name: "the agent's own run", id: "last-error", verdict: doctor.Critical, fix: " run", says: "violates check constraint",
			make: func(p *patient) {
				p.exec("alter table task_usage_hourly add constraint no_more check (event_count < 0) not valid")
				p.use(10 * time.Minute)
				p.exec("update task_usage_hourly_rollup_state set watermark_at = now() - interval '20 minutes'")
				p.fails("run")
				p.exec("alter table task_usage_hourly drop constraint no_more")
			},
		}, {
			name: "a partial backfill", id: "given-up", verdict: doctor.Warning, fix: "backfill --restart", says: "force-partial",
			make: func(p *patient) {
				p.unroll()
				p.configure()
				// By days, not by calendar months: the patient's history has sixty days, and two months may have more.
				from := time.Now().UTC().AddDate(0, 0, -30).Format(time.DateOnly)
				p.cli("multica-rollup --config " + p.configPath() + " backfill --from " + from + " --force-partial")
			},
		}, {
			name: "a stamp before we ever ran", id: "watermark-moved", verdict: doctor.Warning, fix: " backfill",
			make: func(p *patient) {
				p.forget()
				// The watermark is where a migration's hook stamps it; two hours pass since the last roll-up.
				p.exec("update task_usage_hourly_rollup_state set last_run_finished_at = now() - interval '2 hours'")
			},
		}, {
			name: "from before v0.4.10", gen: lab.Gen213, id: "costs", verdict: doctor.Warning, fix: "backfill --restart", says: "without a price",
			make: func(p *patient) {
				p.exec(`update task_usage_hourly set uncosted_input_tokens = null, uncosted_output_tokens = null,
					uncosted_cache_read_tokens = null, uncosted_cache_write_tokens = null where bucket_hour < now() - interval '20 days'`)
			},
		},
	}
}

// chmod changes the mode of a file that configure has written.
func (p *patient) chmod(path string, mode os.FileMode) {
	p.t.Helper()
	p.configure()
	if err := os.Chmod(path, mode); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) write(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// invalidate queues some keys of the hourly table, as of that age.
func (p *patient) invalidate(age string) {
	p.t.Helper()
	p.exec(`insert into task_usage_hourly_dirty
		select bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model, now() - $1::interval
		from task_usage_hourly order by bucket_hour limit 5`, age)
}

// get reads one value as the superuser.
func (p *patient) get(into any, sql string, args ...any) {
	p.t.Helper()
	if err := p.conn.QueryRow(p.t.Context(), sql, args...).Scan(into); err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
}
