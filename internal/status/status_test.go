package status_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
	"github.com/multica-rollup/multica-rollup/internal/state"
	"github.com/multica-rollup/multica-rollup/internal/status"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// host is a host whose timer is well, beside a lab's database.
type host struct {
	t     *testing.T
	db    *labtest.DB
	units *units.Units
	store *state.Store
}

func newHost(t *testing.T, gen lab.Generation, shape lab.Shape) *host {
	t.Helper()
	return hostOf(t, labtest.New(t, gen), shape)
}

// hostOf is newHost beside a database that is there already.
func hostOf(t *testing.T, db *labtest.DB, shape lab.Shape) *host {
	t.Helper()
	h := &host{t: t, db: db, units: &units.Units{
		Timer:   &units.Timer{Name: "multica-rollup.timer", Enabled: true, Active: true, Next: time.Now().Add(time.Minute)},
		Service: &units.Service{Name: "multica-rollup.service", State: "inactive", Result: "success"},
	}}
	var err error
	if h.store, err = state.Open(t.TempDir(), state.Key("7", "", "database"), "database"); err != nil {
		t.Fatal(err)
	}
	if shape.Tasks > 0 {
		if _, err := lab.Seed(t.Context(), h.db.Conn, shape); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *host) gather() (*report.Status, error) {
	h.t.Helper()
	connector, err := pg.NewConnector(h.db.DSN, "multica-rollup/status")
	if err != nil {
		h.t.Fatal(err)
	}
	return status.Gather(h.t.Context(), status.Options{
		Connector: connector, Known: pipeline.Shipped(), Schedulers: scheduler.Kinds(), Engine: "auto", Now: time.Now,
		Store: func(*pipeline.Pipeline) *state.Store { return h.store },
		Units: func(context.Context) (*units.Units, error) { return h.units, nil },
	})
}

func (h *host) must() *report.Status {
	h.t.Helper()
	s, err := h.gather()
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *host) exec(sql string, args ...any) {
	h.t.Helper()
	if _, err := h.db.Conn.Exec(h.t.Context(), sql, args...); err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
}

// rolledUp is a history that has been rolled up a moment ago.
func rolledUp(t *testing.T, gen lab.Generation) *host {
	t.Helper()
	h := newHost(t, gen, lab.Typical(1, 500))
	if err := lab.RollUp(t.Context(), h.db.Conn); err != nil {
		t.Fatal(err)
	}
	h.exec("update task_usage_hourly_rollup_state set last_run_started_at = now(), last_run_finished_at = now(), last_run_rows = 3")
	h.proven()
	return h
}

// proven has the agent remember that it has proven all that is there.
func (h *host) proven() {
	h.t.Helper()
	p, err := pipeline.Inspect(h.t.Context(), h.db.Conn, pipeline.Shipped())
	if err != nil {
		h.t.Fatal(err)
	}
	now, _, err := p.ReadIncarnation(h.t.Context(), h.db.Conn)
	if err == nil {
		err = h.store.Update(func(m *ledger.Memory) {
			m.Enter(now, nil, time.Now())
			m.Proven = ledger.Proven{{At: time.Now()}}
		})
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// TestWhatIsNotProvenIsNeverOK: an agent that has seen nothing yet, one that remembers another life of the database, and one
// whose proofs were withdrawn.
func TestWhatIsNotProvenIsNeverOK(t *testing.T) {
	for name, c := range map[string]struct {
		change     func(h *host)
		says, hint string
	}{
		"nothing is remembered":      {func(h *host) { h.remember(func(m *ledger.Memory) { *m = ledger.Memory{} }) }, "remembers no run", "multica-rollup run"},
		"another life is remembered": {func(h *host) { h.remember(func(m *ledger.Memory) { m.Incarnation.Database++ }) }, "not the database that is remembered", "multica-rollup run"},
		"a stretch is not proven": {func(h *host) {
			h.remember(func(m *ledger.Memory) {
				m.Proven = m.Proven.Withdraw(ledger.Range{To: time.Now().Add(-24 * time.Hour)})
			})
		}, "are not proven", "multica-rollup verify"},
		"a table was written anew": {func(h *host) { h.exec("vacuum full task_usage") }, "are not proven", "multica-rollup verify"},
	} {
		t.Run(name, func(t *testing.T) {
			h := rolledUp(t, lab.Gen272)
			c.change(h)
			s := h.must()
			if s.Level != report.Warning || len(s.Findings) != 1 && name != "another life is remembered" {
				t.Fatalf("%s: %+v", s.Level, s.Findings)
			}
			if f := s.Findings[0]; !strings.Contains(f.Text, c.says) || f.Hint != c.hint {
				t.Errorf("%q, to type %q; want %q and %q", f.Text, f.Hint, c.says, c.hint)
			}
		})
	}
	h := newHost(t, lab.Gen272, lab.Shape{})
	if s := h.must(); s.Unproven != nil {
		t.Errorf("an empty database has something unproven: %+v", s.Unproven)
	}
}

func TestARolledUpDatabaseIsWell(t *testing.T) {
	for _, gen := range []lab.Generation{lab.GenInterrupted, lab.Gen102, lab.Gen213, lab.Gen272} {
		t.Run(string(gen), func(t *testing.T) {
			h := rolledUp(t, gen)
			s := h.must()
			if s.Level != report.OK || len(s.Findings) > 0 {
				t.Fatalf("%s: %+v", s.Level, s.Findings)
			}
			var tokens, events int64
			err := h.db.Conn.QueryRow(t.Context(), `select coalesce(sum(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens), 0)::bigint, coalesce(sum(event_count), 0)::bigint
				from task_usage_hourly where bucket_hour > date_trunc('hour', now(), 'UTC') - interval '24 hours'`).Scan(&tokens, &events)
			if err != nil {
				t.Fatal(err)
			}
			for _, hour := range s.Hours {
				tokens, events = tokens-hour.Tokens, events-hour.Events
			}
			if len(s.Hours) != 24 || tokens != 0 || events != 0 {
				t.Errorf("%d hours, off by %d tokens and %d events", len(s.Hours), tokens, events)
			}
			if s.Guard.Applied != (gen != lab.GenInterrupted) || !s.Guard.Pass || s.LastRun.Rows != 3 || s.Waiting.Count != 0 || s.Lag() != 0 {
				t.Errorf("got %+v", s)
			}
		})
	}
}

// TestEachTroubleIsFound makes one trouble at a time for real.
func TestEachTroubleIsFound(t *testing.T) {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	for name, c := range map[string]struct {
		trouble func(h *host)
		level   report.Level
		text    string
		hint    string
	}{
		"nothing rolled up": {
			func(h *host) { h.exec("update task_usage_hourly_rollup_state set watermark_at = '1970-01-01'") },
			report.Critical, "the watermark is at the epoch", "multica-rollup backfill",
		},
		"usage waits for twenty minutes": {
			func(h *host) {
				h.exec("update task_usage_hourly_rollup_state set watermark_at = now() - interval '20 minutes'")
				h.exec("update task_usage set updated_at = now() - interval '25 minutes' where coalesce(updated_at, created_at) > now() - interval '25 minutes'")
				h.exec("update task_usage set updated_at = now() - interval '18 minutes' where id = (select id from task_usage limit 1)")
			},
			report.Warning, "usage has waited to be rolled up for 18m", "multica-rollup doctor",
		},
		"usage waits for two hours": {
			func(h *host) {
				h.exec("update task_usage_hourly_rollup_state set watermark_at = now() - interval '3 hours'")
				h.exec("update task_usage set updated_at = now() - interval '4 hours' where coalesce(updated_at, created_at) > now() - interval '4 hours'")
				h.exec("update task_usage set updated_at = now() - interval '2 hours' where id = (select id from task_usage limit 1)")
			},
			report.Critical, "usage has waited to be rolled up for 2h", "multica-rollup doctor",
		},
		"a watermark in the future": {
			func(h *host) { h.exec("update task_usage_hourly_rollup_state set watermark_at = 'infinity'") },
			report.Critical, "the watermark lies in the future: 9998", "multica-rollup run",
		},
		"the last run failed": {
			func(h *host) { h.exec("update task_usage_hourly_rollup_state set last_error = 'multica-rollup: oh'") },
			report.Critical, "the last run failed: multica-rollup: oh", "journalctl -u multica-rollup.service",
		},
		"our last run failed before it came to the database": {
			func(h *host) {
				h.remember(func(m *ledger.Memory) {
					m.Run = &ledger.Run{Started: time.Now(), Finished: time.Now().Add(time.Minute), Error: "no disk"}
				})
			},
			report.Critical, "the last run failed: no disk", "journalctl -u multica-rollup.service",
		},
		"the service failed": {
			func(h *host) {
				h.units.Service.State, h.units.Service.Result, h.units.Service.Exit = "failed", "exit-code", 69
			},
			report.Critical, "multica-rollup.service failed: exit-code, status 69", "journalctl -u multica-rollup.service",
		},
		"an old invalidation": {
			func(h *host) { h.queue("2 hours") },
			report.Warning, "the oldest invalidation is 2h old", "multica-rollup run",
		},
		"an invalidation about to be pruned": {
			func(h *host) { h.queue("145 hours") },
			report.Critical, "at seven days Multica deletes them", "multica-rollup run",
		},
		"the timer is not started": {
			func(h *host) { h.units.Timer.Active = false },
			report.Warning, "multica-rollup.timer is not started", "systemctl enable --now multica-rollup.timer",
		},
		"the timer is not enabled": {
			func(h *host) { h.units.Timer.Enabled = false },
			report.Warning, "multica-rollup.timer will not start at the next boot", "systemctl enable multica-rollup.timer",
		},
		"no timer, no scheduler, no run for long": {
			func(h *host) {
				h.units = nil
				h.exec("update task_usage_hourly_rollup_state set last_run_finished_at = now() - interval '2 hours'")
			},
			report.Warning, "there was no run for 2h", "multica-rollup run",
		},
		"wrong rows": {
			func(h *host) {
				h.remember(func(m *ledger.Memory) { m.Drift = &ledger.Drift{At: ago(time.Hour), Keys: 4, Checked: 9} })
			},
			report.Warning, "found 4 hourly rows wrong", "multica-rollup verify --repair",
		},
		"an old debt": {
			func(h *host) {
				h.remember(func(m *ledger.Memory) {
					m.Defer(ledger.Deferred{Kind: ledger.OpenTransaction, From: ago(30 * time.Hour), To: ago(30 * time.Hour), Started: ago(30 * time.Hour), PID: 4711, Description: "pid 4711"})
				})
			},
			report.Warning, "pid 4711", "multica-rollup doctor",
		},
		"an interrupted backfill": {
			func(h *host) {
				if err := h.store.SaveCheckpoint(ledger.Checkpoint{Engine: "set", PassTo: time.Now(), Cursor: ago(time.Hour), Done: 1, Total: 4}); err != nil {
					h.t.Fatal(err)
				}
			},
			report.Warning, "a backfill was interrupted at 25.0 %", "multica-rollup backfill",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := rolledUp(t, lab.Gen272)
			c.trouble(h)
			s := h.must()
			found := slices.IndexFunc(s.Findings, func(f report.Finding) bool { return strings.Contains(f.Text, c.text) })
			if len(s.Findings) != 1 || found != 0 {
				t.Fatalf("found %+v, want this alone: %s", s.Findings, c.text)
			}
			if f := s.Findings[0]; f.Level != c.level || f.Hint != c.hint || s.Level != c.level {
				t.Errorf("got %+v in all %s, want %s and the hint %q", f, s.Level, c.level, c.hint)
			}
		})
	}
}

func (h *host) remember(change func(*ledger.Memory)) {
	h.t.Helper()
	if err := h.store.Update(change); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) queue(age string) {
	h.exec(`insert into task_usage_hourly_dirty (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model, enqueued_at)
		select bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model, now() - $1::interval from task_usage_hourly limit 1`, age)
}

func TestTheHolderOfTheLockIsNamed(t *testing.T) {
	h := rolledUp(t, lab.Gen272)
	other := h.db.Connect(t)
	for _, sql := range []string{"set application_name = 'multica-backend'", "select pg_advisory_lock(4246)"} {
		if _, err := other.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	s := h.must()
	if len(s.Lock) != 1 || !strings.Contains(s.Lock[0].Text, "multica-backend") || s.Lock[0].State != "idle" || s.Level != report.OK {
		t.Errorf("got %+v, %s, want the backend, and no finding yet", s.Lock, s.Level)
	}
}

func TestABackfillAtWorkIsSeenByItsConnection(t *testing.T) {
	h := rolledUp(t, lab.Gen272)
	now := time.Now()
	if err := h.store.SaveCheckpoint(ledger.Checkpoint{Engine: "set", PassTo: now, Cursor: now, Done: 1, Total: 2}); err != nil {
		t.Fatal(err)
	}
	other := h.db.Connect(t)
	if _, err := other.Exec(t.Context(), "set application_name = 'multica-rollup/backfill'"); err != nil {
		t.Fatal(err)
	}
	s := h.must()
	if s.Backfill == nil || !s.Backfill.Running || s.Backfill.Percent != 50 || s.Level != report.OK {
		t.Errorf("got %+v, %s", s.Backfill, s.Level)
	}
}

// TestABackfillAtWorkIsSeenByItsLock: with a pooler in between its session may not be there, and be there after its end.
func TestABackfillAtWorkIsSeenByItsLock(t *testing.T) {
	h := rolledUp(t, lab.Gen272)
	work, err := h.store.BeginBackfill()
	if err != nil {
		t.Fatal(err)
	}
	if s := h.must(); s.Backfill == nil || !s.Backfill.Running {
		t.Errorf("before its first checkpoint: %+v", s.Backfill)
	}
	now := time.Now()
	if err := h.store.SaveCheckpoint(ledger.Checkpoint{Engine: "set", PassTo: now, Cursor: now, Done: 1, Total: 2}); err != nil {
		t.Fatal(err)
	}
	if s := h.must(); s.Backfill == nil || !s.Backfill.Running || s.Level != report.OK {
		t.Errorf("got %+v, %s", s.Backfill, s.Level)
	}
	work.End()
	if s := h.must(); s.Backfill == nil || s.Backfill.Running || s.Level != report.Warning {
		t.Errorf("after its end: %+v, %s", s.Backfill, s.Level)
	}
	lock := strings.TrimSuffix(h.store.CheckpointPath(), ".json") + ".lock"
	if err := errors.Join(os.Remove(lock), os.Mkdir(lock, 0o700)); err != nil {
		t.Fatal(err)
	}
	s := h.must()
	if s.Backfill == nil || s.Backfill.Running || !s.Backfill.Unknown || len(s.Findings) != 1 || !strings.Contains(s.Findings[0].Text, "looking whether a backfill is at work") {
		t.Errorf("where it cannot be seen: %+v, %+v", s.Backfill, s.Findings)
	}
}

// TestASubscriberIsNeverOK: what its subscription brings is behind the watermark, and no trigger tells.
func TestASubscriberIsNeverOK(t *testing.T) {
	server, err := lab.Start(t.Context(), lab.Options{Settings: map[string]string{"wal_level": "logical"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	for _, name := range []string{"origin", "multica"} {
		if err := server.CreateDatabase(t.Context(), name, lab.Gen272); err != nil {
			t.Fatal(err)
		}
	}
	db := &labtest.DB{Name: "multica", DSN: server.DSN("multica"), Server: server}
	db.Conn = db.Connect(t)
	h := hostOf(t, db, lab.Typical(1, 100))
	if err := lab.RollUp(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	h.exec("update task_usage_hourly_rollup_state set last_run_started_at = now(), last_run_finished_at = now()")
	h.proven()
	if s := h.must(); s.Level != report.OK {
		t.Fatalf("before: %+v", s.Findings)
	}
	if err := server.Subscribe(t.Context(), "origin", "multica", "upstream"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"select 1", "alter subscription upstream disable"} {
		h.exec(step)
		s := h.must()
		if s.Level != report.Warning || len(s.Findings) != 1 || !strings.Contains(s.Findings[0].Text, "logical subscription upstream feeds agent_task_queue, task_usage") {
			t.Errorf("after %s: %s, %+v", step, s.Level, s.Findings)
		}
	}
	// A role that is nobody's superuser sees it too.
	h.exec("create role agent login; grant select on all tables in schema public to agent; grant pg_read_all_stats to agent")
	h.db.DSN = strings.Replace(h.db.DSN, "postgres@", "agent@", 1)
	if s := h.must(); !slices.ContainsFunc(s.Findings, func(f report.Finding) bool { return strings.Contains(f.Text, "logical subscription upstream") }) {
		t.Errorf("to a plain role: %+v", s.Findings)
	}
	h.exec("drop subscription upstream")
	if s := h.must(); slices.ContainsFunc(s.Findings, func(f report.Finding) bool { return strings.Contains(f.Text, "subscription") }) {
		t.Errorf("once it is dropped: %+v", s.Findings)
	}
}

func TestWhatIsCountedIsBounded(t *testing.T) {
	h := newHost(t, lab.Gen102, lab.Shape{})
	h.exec(`insert into task_usage_hourly_dirty (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
		select now(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), null, '', '' from generate_series(1, 100001)`)
	s := h.must()
	if s.Queue.Count != 100000 || !s.Queue.More || s.Queue.Oldest.IsZero() {
		t.Errorf("got %+v, want more than 100000", s.Queue)
	}
}

func TestStatusWritesNothing(t *testing.T) {
	h := rolledUp(t, lab.Gen272)
	h.exec("alter database " + pgx.Identifier{h.db.Name}.Sanitize() + " set default_transaction_read_only = on")
	if _, err := h.gather(); err != nil {
		t.Errorf("in a database that takes no writes: %v", err)
	}
}

// TestWhatStatusAsksIsAnsweredByIndexes looks at the counters of scans.
func TestWhatStatusAsksIsAnsweredByIndexes(t *testing.T) {
	h := newHost(t, lab.Gen272, lab.Typical(1, 8000))
	if err := lab.RollUp(t.Context(), h.db.Conn); err != nil {
		t.Fatal(err)
	}
	h.exec("vacuum analyze")
	scans := func() (n int64) {
		t.Helper()
		h.exec("select pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
		err := h.db.Conn.QueryRow(t.Context(), "select sum(seq_scan) from pg_stat_user_tables where relname in ('task_usage', 'task_usage_hourly', 'agent_task_queue')").Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := scans()
	for _, watermark := range []string{"now() - interval '5 minutes'", "now() - interval '90 days'"} {
		h.exec("update task_usage_hourly_rollup_state set watermark_at = " + watermark)
		h.must()
	}
	// Counters of a session that ended arrive a moment later.
	deadline := time.Now().Add(labtest.Guard)
	for sessions := 2; sessions > 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err := h.db.Conn.QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = 'multica-rollup/status'").Scan(&sessions); err != nil {
			t.Fatal(err)
		}
	}
	if after := scans(); after != before {
		t.Errorf("%d whole tables were read", after-before)
	}
}

func TestADatabaseWithoutThePipelineCannotBeChecked(t *testing.T) {
	h := newHost(t, lab.Gen097, lab.Shape{})
	if _, err := h.gather(); problem.KindOf(err) != problem.Config {
		t.Errorf("got %v, want a problem of configuration", err)
	}
}
