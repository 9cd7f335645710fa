package lab_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

const wholeWindow = "SELECT rollup_task_usage_hourly_window('-infinity', now() + interval '1 second')"

func TestTheWindowFunctionMakesHourlyEqualTheOracleAndIsIdempotent(t *testing.T) {
	for _, gen := range hourly() {
		t.Run(string(gen), func(t *testing.T) {
			db := labtest.New(t, gen)
			seed(t, db.Conn, lab.Typical(7, 400))
			missing := len(differences(t, db.Conn))
			if rows := get[int](t, db.Conn, wholeWindow); rows != missing || rows == 0 {
				t.Errorf("the window wrote %d rows, want one for each of the %d keys", rows, missing)
			}
			wantNoDifference(t, db.Conn)
			if again := get[int](t, db.Conn, wholeWindow); again != missing {
				t.Errorf("a second window wrote %d rows, want the same %d", again, missing)
			}
			wantNoDifference(t, db.Conn)
			if rows := get[int](t, db.Conn, "SELECT rollup_task_usage_hourly_window(now(), now())"); rows != 0 {
				t.Errorf("an empty window returned %d, want 0", rows)
			}
		})
	}
}

func TestTriggersQueueTheKeysOfChangesThatUpdatedAtCannotShow(t *testing.T) {
	busiestIssue := "(SELECT issue_id FROM agent_task_queue WHERE issue_id IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1)"
	changes := map[string]string{
		"usage deleted":        "DELETE FROM task_usage WHERE id < '40000000-0000-4000-8000-000000000000'",
		"tasks deleted":        "DELETE FROM agent_task_queue WHERE id < '40000000-0000-4000-8000-000000000000'",
		"tasks lose issue":     "UPDATE agent_task_queue SET issue_id = NULL WHERE id < '80000000-0000-4000-8000-000000000000'",
		"tasks change runtime": "UPDATE agent_task_queue q SET runtime_id = (SELECT id FROM agent_runtime WHERE id <> q.runtime_id ORDER BY id LIMIT 1)",
		"issue loses project":  "UPDATE issue SET project_id = NULL",
		"issue deleted":        "DELETE FROM issue WHERE id = " + busiestIssue,
		"project deleted":      "DELETE FROM project WHERE id = (SELECT project_id FROM issue WHERE id = " + busiestIssue + ")",
		"runtime deleted":      "DELETE FROM agent_runtime WHERE id = (SELECT runtime_id FROM agent_task_queue GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1)",
	}
	for _, gen := range []lab.Generation{lab.Gen102, lab.Gen272} {
		for name, change := range changes {
			t.Run(string(gen)+" "+name, func(t *testing.T) {
				db := labtest.New(t, gen)
				seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 150, Issues: 10})
				if err := lab.RollUp(context.Background(), db.Conn); err != nil {
					t.Fatal(err)
				}
				wantNoDifference(t, db.Conn)
				run(t, db.Conn, change)
				if len(differences(t, db.Conn)) == 0 {
					t.Fatal("the change left hourly right, so it proves nothing")
				}
				// No usage row's updated_at is in the window: what it does comes from the queue.
				run(t, db.Conn, "SELECT rollup_task_usage_hourly_window(now() - interval '1 us', now() + interval '1 second')")
				wantNoDifference(t, db.Conn)
				if left := get[int](t, db.Conn, "SELECT count(*) FROM task_usage_hourly_dirty"); left != 0 {
					t.Errorf("%d queue rows left, want none", left)
				}
			})
		}
	}
}

func TestAConflictingInvalidationKeepsTheGreaterEnqueuedAt(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 20})
	run(t, db.Conn, "UPDATE agent_task_queue SET issue_id = NULL")
	run(t, db.Conn, "UPDATE task_usage_hourly_dirty SET enqueued_at = now() + interval '1 hour' WHERE project_id IS NULL")
	run(t, db.Conn, "DELETE FROM task_usage")
	if early := get[int](t, db.Conn, "SELECT count(*) FROM task_usage_hourly_dirty WHERE project_id IS NULL AND enqueued_at < now()"); early != 0 {
		t.Errorf("%d keys moved back to an earlier enqueued_at", early)
	}
}

func TestDeletingAnAgentLeavesItsBucketsAndQueuesNothing(t *testing.T) {
	for _, gen := range []lab.Generation{lab.Gen102, lab.Gen272} {
		t.Run(string(gen), func(t *testing.T) {
			db := labtest.New(t, gen)
			seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 60, Agents: 4})
			if err := lab.RollUp(context.Background(), db.Conn); err != nil {
				t.Fatal(err)
			}
			run(t, db.Conn, "DELETE FROM agent WHERE id = (SELECT agent_id FROM agent_task_queue LIMIT 1)")
			if queued := get[int](t, db.Conn, "SELECT count(*) FROM task_usage_hourly_dirty"); queued != 0 {
				t.Errorf("%d keys queued, want none", queued)
			}
			run(t, db.Conn, wholeWindow)
			if kept := aside(t, db.Conn).KeptRows; kept == 0 {
				t.Error("no kept row: the agent's buckets are gone, want them left over")
			}
			wantNoDifference(t, db.Conn)
		})
	}
}

// The evidence is what is read, not how long it takes: for each dirty key of one small window the
// function must look at every task of that key's agent and runtime.
func TestTheWindowFunctionVisitsTheAgentsWholeHistoryForEachKey(t *testing.T) {
	visited := func(tasks int) (perKey float64) {
		db := labtest.New(t, lab.Gen272)
		done := seed(t, db.Conn, lab.Shape{Seed: 5, Tasks: tasks, Workspaces: 1, Agents: 1, Runtimes: 1, Months: 1})
		// The statistics count a table's index fetches; they must be flushed before they are read.
		run(t, db.Conn, "SELECT pg_stat_force_next_flush(), pg_stat_reset()")
		keys := get[int](t, db.Conn, "SELECT rollup_task_usage_hourly_window($1, $2)", done.End.Add(-6*time.Hour), done.End)
		if keys == 0 {
			t.Fatal("the window found no key")
		}
		run(t, db.Conn, "SELECT pg_stat_force_next_flush()")
		scans := get[int](t, db.Conn, "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE relname = 'task_usage'")
		return float64(scans) / float64(keys)
	}
	small, large := visited(500), visited(2000)
	if small < 500 || large < 2000 {
		t.Errorf("per dirty key %.0f of 500 and %.0f of 2000 tasks were looked up, want all of them", small, large)
	}
}

func TestATickMovesTheWatermarkOneDayAtMost(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	run(t, db.Conn, "SELECT rollup_task_usage_hourly()")
	if at := get[time.Time](t, db.Conn, "SELECT watermark_at FROM task_usage_hourly_rollup_state"); !at.Equal(time.Unix(86400, 0)) {
		t.Errorf("after one tick from the epoch the watermark is %s, want one day later", at)
	}
	run(t, db.Conn, "UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - interval '1 hour'")
	run(t, db.Conn, "SELECT rollup_task_usage_hourly()")
	if behind := get[float64](t, db.Conn, "SELECT extract(epoch FROM now() - watermark_at) FROM task_usage_hourly_rollup_state"); behind < 299 || behind > 330 {
		t.Errorf("a caught-up watermark is %.0f s behind, want five minutes", behind)
	}
	if lag := get[float64](t, db.Conn, "SELECT task_usage_hourly_rollup_lag_seconds()"); lag > 30 {
		t.Errorf("the lag is %.0f s right after a run, want the run's age", lag)
	}
}

func TestATickPrunesInvalidationsItHasNotProcessed(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 60})
	if err := lab.RollUp(context.Background(), db.Conn); err != nil {
		t.Fatal(err)
	}
	run(t, db.Conn, "DELETE FROM task_usage")
	run(t, db.Conn, "UPDATE task_usage_hourly_dirty SET enqueued_at = now() - interval '8 days'")
	run(t, db.Conn, "UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - interval '30 days'")
	run(t, db.Conn, "SELECT rollup_task_usage_hourly()")
	if left := get[int](t, db.Conn, "SELECT count(*) FROM task_usage_hourly_dirty"); left != 0 {
		t.Errorf("%d queue rows left, want them pruned", left)
	}
	if len(differences(t, db.Conn)) == 0 {
		t.Error("hourly is right, want the pruned invalidations lost")
	}
}

func TestACancelledTickLeaksTheLockBefore272(t *testing.T) {
	for gen, wantLeak := range map[lab.Generation]bool{lab.Gen102: true, lab.Gen213: true, lab.Gen272: false} {
		t.Run(string(gen), func(t *testing.T) {
			db := labtest.New(t, gen)
			run(t, db.Conn, "SET statement_timeout = '200ms'")
			blocker := db.Connect(t)
			run(t, blocker, "BEGIN; LOCK TABLE task_usage_hourly_rollup_state")
			_, err := db.Conn.Exec(context.Background(), "SELECT rollup_task_usage_hourly()")
			if pg.SQLState(err) != pg.StateQueryCanceled {
				t.Fatalf("the tick ended with %v, want it cancelled", err)
			}
			run(t, blocker, "ROLLBACK")
			held := get[bool](t, blocker, "SELECT NOT pg_try_advisory_xact_lock(4246)")
			if held != wantLeak {
				t.Errorf("lock still held: %t, want %t", held, wantLeak)
			}
			if rows := get[int](t, blocker, "SELECT rollup_task_usage_hourly()"); rows != 0 {
				t.Errorf("a tick on an empty database, or one without the lock, returned %d", rows)
			}
		})
	}
}

func TestLastErrorIsLostWithTheTickThatWroteIt(t *testing.T) {
	for _, gen := range []lab.Generation{lab.Gen102, lab.Gen272} {
		t.Run(string(gen), func(t *testing.T) {
			db := labtest.New(t, gen)
			run(t, db.Conn, "ALTER TABLE task_usage_hourly RENAME COLUMN task_count TO tasks")
			seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 10})
			run(t, db.Conn, "UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - interval '1 day'")
			if _, err := db.Conn.Exec(context.Background(), "SELECT rollup_task_usage_hourly()"); err == nil {
				t.Fatal("the tick succeeded, want it to fail on the missing column")
			}
			if !get[bool](t, db.Conn, "SELECT last_error IS NULL FROM task_usage_hourly_rollup_state") {
				t.Error("last_error was kept, want it lost")
			}
			if !get[bool](t, db.Connect(t), "SELECT pg_try_advisory_xact_lock(4246)") {
				t.Error("the lock is still held after an ordinary failure")
			}
		})
	}
}

func TestTheGuardRefusesUntilHourlyHasCaughtUp(t *testing.T) {
	ctx := context.Background()
	db := labtest.New(t, lab.GenInterrupted)
	if err := lab.GuardVerdict(ctx, db.Conn); err != nil {
		t.Errorf("on empty usage the guard says %v, want it to pass", err)
	}
	done := seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 10, NoUpdatedAt: 1})
	latest := get[string](t, db.Conn, "SELECT max(created_at)::text FROM task_usage")
	var refusal *lab.GuardRefusal
	if err := lab.GuardVerdict(ctx, db.Conn); !errors.As(err, &refusal) {
		t.Fatalf("the guard says %v, want a refusal", err)
	}
	want := fmt.Sprintf("refusing to drop legacy daily rollups: task_usage_hourly_rollup_state.watermark_at (1970-01-01 00:00:00+00) trails task_usage latest event (%s) by more than 01:00:00 — ", latest)
	if !strings.HasPrefix(refusal.Message, want) {
		t.Errorf("the guard says\n%s, want it to begin\n%s", refusal.Message, want)
	}
	run(t, db.Conn, "UPDATE task_usage_hourly_rollup_state SET watermark_at = $1", done.End.Add(-time.Hour))
	if err := lab.GuardVerdict(ctx, db.Conn); err != nil {
		t.Errorf("an hour behind the latest event the guard says %v, want it to pass", err)
	}
}

func TestFingerprintsDifferWhereTheFunctionsDo(t *testing.T) {
	prints := make(map[lab.Generation]map[string]string)
	for _, gen := range hourly() {
		var err error
		if prints[gen], err = lab.Fingerprints(context.Background(), labtest.New(t, gen).Conn); err != nil {
			t.Fatal(err)
		}
	}
	const window, tick, bucket = "rollup_task_usage_hourly_window", "rollup_task_usage_hourly", "task_usage_hour_bucket"
	for _, c := range []struct {
		function string
		a, b     lab.Generation
		same     bool
	}{
		{window, lab.GenInterrupted, lab.Gen102, true}, {window, lab.Gen102, lab.Gen213, false}, {window, lab.Gen213, lab.Gen272, true},
		{tick, lab.Gen102, lab.Gen213, true}, {tick, lab.Gen213, lab.Gen272, false}, {bucket, lab.Gen102, lab.Gen272, true},
	} {
		a, b := prints[c.a][c.function], prints[c.b][c.function]
		if len(a) != 64 || (a == b) != c.same {
			t.Errorf("%s: %s has %q and %s has %q, want them the same: %t", c.function, c.a, a, c.b, b, c.same)
		}
	}
}
