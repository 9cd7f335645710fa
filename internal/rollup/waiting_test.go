package rollup_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
	"github.com/multica-rollup/multica-rollup/internal/rollup/engine"
)

// TestASliceAfterAGapEndsWithAnHour: the first event after the cursor lies in the hour in which the slice would end.
func TestASliceAfterAGapEndsWithAnHour(t *testing.T) {
	for _, name := range engines {
		t.Run(name, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, lab.Typical(71, 1000))
			exec(t, db.Conn, `update task_usage u set created_at = '2026-01-05 10:10:00+00'::timestamptz + n * interval '1 second', updated_at = '2026-01-05 10:10:00+00'::timestamptz + n * interval '1 second'
				from (select id, row_number() over (order by id) n from task_usage) s where s.id = u.id`)
			p, err := pipeline.Inspect(t.Context(), db.Conn, pipeline.Shipped())
			if err != nil {
				t.Fatal(err)
			}
			p.Unverified = nil
			e, _, err := engine.Choose(name, p)
			if err != nil {
				t.Fatal(err)
			}
			cursor := time.Date(2026, 1, 5, 3, 30, 0, 0, time.UTC)
			end := time.Date(2026, 1, 6, 0, 0, 0, 0, time.UTC)
			var plan engine.Plan
			err = pgx.BeginFunc(t.Context(), db.Conn, func(tx pgx.Tx) error {
				read := func(ctx context.Context, step func(pgx.Tx) error) error { return step(tx) }
				planner, err := e.Plan(t.Context(), read, engine.Pass{Start: cursor, End: end}, time.Time{})
				if err != nil {
					return err
				}
				plan, err = planner.Next(t.Context(), tx, cursor, end, 500)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if want := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC); !plan.To.Equal(want) {
				t.Errorf("the slice from %s ends at %s, want the whole hour %s", cursor, plan.To, want)
			}
		})
	}
}

// slowThrottle holds the first slices for a while.
type slowThrottle struct{ wait time.Duration }

func (s *slowThrottle) Rest(time.Duration) time.Duration { return 0 }
func (s *slowThrottle) Wait(ctx context.Context, _ func(func(pg.Querier) error) error, _ func(string)) error {
	time.Sleep(s.wait)
	s.wait = 0
	return nil
}

// TestTheThrottleDoesNotUseUpThePatience: only waiting for the lock counts.
func TestTheThrottleDoesNotUseUpThePatience(t *testing.T) {
	for _, name := range engines {
		db, _ := history(t)
		tx, _ := open(t, db)
		exec(t, tx.Conn(), "select pg_advisory_xact_lock(4246)")
		a := newAgent(t, db, name)
		a.opts.Command, a.opts.Walk.LockTimeout, a.opts.LockPatience = "backfill", 50*time.Millisecond, 1500*time.Millisecond
		a.opts.Throttle = &slowThrottle{2 * time.Second}
		a.opts.Observe = func(st *report.State) {
			if st.Blocked != "" && tx != nil {
				_ = tx.Rollback(context.Background())
				tx = nil
			}
		}
		w := a.walker()
		plan, err := w.PlanBackfill(t.Context(), rollup.BackfillOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Backfill(t.Context(), plan, rollup.BackfillOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if tx != nil {
			_ = tx.Rollback(context.Background())
		}
	}
}

// TestADrainBeyondTheStatementTimeoutSaysWhatToDo: of the function.
func TestADrainBeyondTheStatementTimeoutSaysWhatToDo(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(72, 300))
	a := newAgent(t, db, "function")
	a.run()
	exec(t, db.Conn, "update agent_task_queue set runtime_id = (select id from agent_runtime r where r.id <> runtime_id order by id limit 1) where id in (select id from agent_task_queue order by id limit 30)")
	exec(t, db.Conn, ageQueue)
	exec(t, db.Conn, `create or replace function rollup_task_usage_hourly_window(p_from timestamptz, p_to timestamptz) returns bigint language plpgsql as $$ begin perform pg_sleep(5); return 0; end $$`)
	a.opts.Walk.StatementTimeout = 300 * time.Millisecond
	w := a.walker()
	err := w.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "does not end within") {
		t.Errorf("got %v", err)
	}
}

func TestATakeOverHasTheLag(t *testing.T) {
	a, db := standby(t, "set")
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = now() - interval '40 minutes', last_run_finished_at = now() - interval '35 minutes'")
	corrected(t, db, "30 minutes")
	var log bytes.Buffer
	a.opts.Log = slog.New(slog.NewTextHandler(&log, nil))
	a.run()
	told := 0
	for line := range strings.Lines(log.String()) {
		if !strings.Contains(line, "takes over") {
			continue
		}
		told++
		if !strings.Contains(strings.ToLower(line), "lag") {
			t.Error(line)
		}
	}
	if told != 1 {
		t.Errorf("the take-over was logged %d times: %s", told, log.String())
	}
}
