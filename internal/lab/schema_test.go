package lab_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

func TestMigrationsHaveMulticasNumbers(t *testing.T) {
	for gen, want := range map[lab.Generation]string{
		lab.GenInterrupted: "001 032 072 084 097 101 102",
		lab.Gen102:         "001 032 072 084 097 101 102 103",
		lab.Gen213:         "001 032 072 084 097 101 102 103 113 213",
		lab.Gen272:         "001 032 072 084 097 101 102 103 113 213 243 251 272",
	} {
		db := labtest.New(t, gen)
		got := get[string](t, db.Conn, "SELECT string_agg(left(version, 3), ' ' ORDER BY version) FROM schema_migrations")
		if got != want {
			t.Errorf("generation %s has the migrations %s, want %s", gen, got, want)
		}
	}
}

func TestCronExecutionsHaveMulticasColumns(t *testing.T) {
	want := "id uuid, job_name text, scope_kind text, scope_id text, plan_time timestamp with time zone, status text, attempt integer, " +
		"max_attempts integer, next_retry_at timestamp with time zone, runner_id text, lease_token uuid, heartbeat_at timestamp with time zone, " +
		"stale_after timestamp with time zone, started_at timestamp with time zone, finished_at timestamp with time zone, duration_ms integer, " +
		"rows_affected bigint, result jsonb, error_code text, error_msg text, created_at timestamp with time zone, updated_at timestamp with time zone"
	for _, gen := range []lab.Generation{lab.Gen213, lab.Gen272} {
		db := labtest.New(t, gen)
		got := get[string](t, db.Conn, `SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position)
			FROM information_schema.columns WHERE table_name = 'sys_cron_executions'`)
		if got != want {
			t.Errorf("generation %s has the columns\n%s, want\n%s", gen, got, want)
		}
		const add = "INSERT INTO sys_cron_executions (job_name, plan_time, status) VALUES ('rollup_task_usage_hourly', '2026-01-01', $1)"
		if _, err := db.Conn.Exec(t.Context(), add, "succeeded"); pg.SQLState(err) != "23514" {
			t.Errorf("an unknown status ends with %v, want it refused by the check", err)
		}
		run(t, db.Conn, add, "RUNNING")
		if _, err := db.Conn.Exec(t.Context(), add, "FAILED"); pg.SQLState(err) != "23505" {
			t.Errorf("a second execution of one plan ends with %v, want it refused as not unique", err)
		}
	}
}

func TestTasksAreAsWideAsTheNewestRelease(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	const columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'agent_task_queue'"
	if n := get[int](t, db.Conn, columns); n != 53 {
		t.Errorf("a task has %d columns, want 53", n)
	}
	if n := get[int](t, db.Conn, columns+" AND data_type = 'uuid'"); n != 12 {
		t.Errorf("a task has %d uuids, want 12", n)
	}
	if n := get[int](t, db.Conn, columns+" AND data_type = 'jsonb'"); n != 3 {
		t.Errorf("a task has %d jsonb columns, want 3", n)
	}
	if n := get[int](t, db.Conn, "SELECT count(*) FROM pg_indexes WHERE tablename = 'agent_task_queue'"); n != 20 {
		t.Errorf("tasks have %d indexes, want 20", n)
	}
}

func TestOnlyFinishedTasksMayHaveNoRuntimeFrom251(t *testing.T) {
	for gen, want := range map[lab.Generation][2]string{
		lab.Gen213: {"23502", "23502"}, // not null, whatever the task's state
		lab.Gen272: {"23514", ""},      // the check, for unfinished tasks alone
	} {
		db := labtest.New(t, gen)
		seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 10})
		const detach = "UPDATE agent_task_queue SET runtime_id = NULL"
		_, err := db.Conn.Exec(t.Context(), detach+", completed_at = NULL")
		if got := pg.SQLState(err); got != want[0] {
			t.Errorf("generation %s: detaching unfinished tasks ends with %v, want SQLSTATE %s", gen, err, want[0])
		}
		_, err = db.Conn.Exec(t.Context(), detach)
		if got := pg.SQLState(err); got != want[1] {
			t.Errorf("generation %s: detaching finished tasks ends with %v, want SQLSTATE %q", gen, err, want[1])
		}
	}
}

func TestThreeOfTheFourTriggersAreOffDuringATeardownFrom243(t *testing.T) {
	for trigger, change := range map[string]string{
		"trg_atq_dirty_hourly on delete": "DELETE FROM agent_task_queue",
		"trg_atq_dirty_hourly on update": "UPDATE agent_task_queue SET issue_id = NULL",
		"trg_tu_dirty_hourly":            "DELETE FROM task_usage",
		// Without its tasks' triggers, or the cascade to them would queue the same keys.
		"trg_issue_delete_dirty_hourly": "ALTER TABLE agent_task_queue DISABLE TRIGGER trg_atq_dirty_hourly; " +
			"ALTER TABLE task_usage DISABLE TRIGGER trg_tu_dirty_hourly; DELETE FROM issue",
		"trg_issue_project_dirty_hourly": "UPDATE issue SET project_id = NULL",
	} {
		for gen, guarded := range map[lab.Generation]bool{lab.Gen102: false, lab.Gen213: false, lab.Gen272: true} {
			for _, teardown := range []bool{false, true} {
				db := labtest.New(t, gen)
				seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 60})
				err := pgx.BeginFunc(context.Background(), db.Conn, func(tx pgx.Tx) error {
					set := ""
					if teardown {
						set = "SET LOCAL multica.workspace_teardown = 'on'; "
					}
					_, err := tx.Exec(context.Background(), set+change)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				want := !teardown || !guarded || strings.HasPrefix(trigger, "trg_issue_project")
				if queued := get[int](t, db.Conn, "SELECT count(*) FROM task_usage_hourly_dirty"); (queued > 0) != want {
					t.Errorf("generation %s, teardown %t: %s queued %d keys, want some: %t", gen, teardown, trigger, queued, want)
				}
			}
		}
	}
}

// TestTheHookBefore103StampsTheWatermarkWithoutRollingUp has another session hold the rollup's
// lock: the hook does not ask for it where it skips.
func TestTheHookBefore103StampsTheWatermarkWithoutRollingUp(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *labtest.DB){
		"no usage": func(*testing.T, *labtest.DB) {},
		"a lag under an hour": func(t *testing.T, db *labtest.DB) {
			seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 60})
			run(t, db.Conn, `UPDATE task_usage_hourly_rollup_state
				SET watermark_at = (SELECT max(updated_at) FROM task_usage) - interval '59 minutes'`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := labtest.New(t, lab.GenInterrupted)
			prepare(t, db)
			run(t, db.Connect(t), "SELECT pg_advisory_lock(4246)")
			run(t, db.Conn, "SET lock_timeout = '1s'")
			if err := lab.HookBefore103(t.Context(), db.Conn); err != nil {
				t.Fatal(err)
			}
			wantStamp(t, db.Conn)
			if rows := get[int](t, db.Conn, "SELECT count(*) FROM task_usage_hourly"); rows != 0 {
				t.Errorf("%d hourly rows, want nothing rolled up", rows)
			}
			if err := lab.GuardVerdict(t.Context(), db.Conn); err != nil {
				t.Errorf("the guard says %v, want it deceived by the stamp", err)
			}
		})
	}
}

func TestTheHookBefore103RollsUpALongerLagUnderTheLock(t *testing.T) {
	db := labtest.New(t, lab.GenInterrupted)
	seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 60, Months: 3})
	holder := db.Connect(t)
	run(t, holder, "SELECT pg_advisory_lock(4246)")
	run(t, db.Conn, "SET lock_timeout = '100ms'")
	if err := lab.HookBefore103(t.Context(), db.Conn); pg.SQLState(err) != "55P03" {
		t.Fatalf("while another session holds the lock the hook ends with %v, want a lock timeout", err)
	}
	run(t, holder, "SELECT pg_advisory_unlock(4246)")
	if err := lab.HookBefore103(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	wantStamp(t, db.Conn)
	wantNoDifference(t, db.Conn)
}

// wantStamp fails the test unless the watermark was set to five minutes before a transaction just now.
func wantStamp(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	at := get[time.Time](t, conn, "SELECT watermark_at FROM task_usage_hourly_rollup_state")
	now := get[time.Time](t, conn, "SELECT now()")
	if behind := now.Sub(at); behind < 5*time.Minute || behind > time.Hour {
		t.Errorf("the watermark is %s behind, want it stamped five minutes back", behind)
	}
}
