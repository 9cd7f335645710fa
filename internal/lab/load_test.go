package lab_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// loadUntil loads at full speed until enough has been done, and returns what.
func loadUntil(t *testing.T, dsn string, o lab.LoadOptions, enough func(lab.LoadStats) bool) lab.LoadStats {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	o.Rate = 600
	o.Observe = func(s lab.LoadStats) {
		if enough(s) {
			cancel()
		}
	}
	stats, err := lab.Load(ctx, dsn, o)
	if err != nil {
		t.Fatal(err)
	}
	if !enough(stats) {
		t.Fatalf("two minutes of load did only %+v", stats)
	}
	return stats
}

func didAll(s lab.LoadStats, operations []string) bool {
	return !slices.ContainsFunc(operations, func(op string) bool { return s.Done[op] == 0 })
}

func TestLoadWritesEveryKindOfChangeThatTheWindowFunctionThenRollsUp(t *testing.T) {
	for _, gen := range []lab.Generation{lab.Gen102, lab.Gen272} {
		t.Run(string(gen), func(t *testing.T) {
			db := labtest.New(t, gen)
			seed(t, db.Conn, lab.Shape{Seed: 9, Tasks: 1000, Months: 1})
			if err := lab.RollUp(context.Background(), db.Conn); err != nil {
				t.Fatal(err)
			}
			wanted := []string{"usage", "correction", "move_runtime", "move_issue", "move_project", "delete_usage", "delete_task"}
			// One after the other: what two transactions move at once the triggers miss, and the function with them.
			stats := loadUntil(t, db.DSN, lab.LoadOptions{Connections: 1}, func(s lab.LoadStats) bool { return didAll(s, wanted) })
			if stats.Done["delete_agent"] > 0 {
				t.Error("load deleted agents unasked")
			}
			if diffs := differences(t, db.Conn); len(diffs) == 0 {
				t.Error("load changed nothing that hourly shows")
			}
			run(t, db.Conn, wholeWindow)
			wantNoDifference(t, db.Conn)
			if open := get[int](t, db.Conn, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"); open != 0 {
				t.Errorf("%d transactions left open", open)
			}
		})
	}
}

func TestEveryLoadOperationChangesSomething(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	// An empty database gets a workspace first.
	loadUntil(t, db.DSN, lab.LoadOptions{DeleteAgents: true, LongTransaction: 300 * time.Millisecond}, func(s lab.LoadStats) bool {
		return s.Long > 0 && didAll(s, []string{"correction", "price", "move_issue", "move_runtime", "move_project", "maintenance", "delete_usage",
			"delete_task", "delete_issue", "delete_runtime", "delete_agent", "teardown"})
	})
	for what, sql := range map[string]string{
		"usage":            "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'task_usage'",
		"usage deleted":    "SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'task_usage'",
		"tasks moved":      "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'agent_task_queue'",
		"tasks deleted":    "SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'agent_task_queue'",
		"issues moved":     "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'issue'",
		"issues deleted":   "SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'issue'",
		"agents deleted":   "SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'agent'",
		"runtimes deleted": "SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'agent_runtime'",
		"teardowns":        "SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'workspace'",
		"costs":            "SELECT count(*) FROM task_usage WHERE cost_usd_ticks IS NOT NULL",
		"corrections":      "SELECT count(*) FROM task_usage WHERE updated_at > created_at",
		"keys queued":      "SELECT count(*) FROM task_usage_hourly_dirty",
	} {
		// Load's connections pass their counts on as they end, which may be after it returned.
		deadline := time.Now().Add(20 * time.Second)
		for get[int](t, db.Conn, sql) == 0 {
			if time.Now().After(deadline) {
				t.Fatalf("%s: none", what)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func TestOracleBeforeLeavesOutWhatNobodyHasHadToRollUpYet(t *testing.T) {
	ctx := context.Background()
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Shape{Seed: 9, Tasks: 200})
	if err := lab.RollUp(ctx, db.Conn); err != nil {
		t.Fatal(err)
	}
	horizon := get[time.Time](t, db.Conn, "SELECT clock_timestamp()")
	run(t, db.Conn, "UPDATE task_usage SET input_tokens = input_tokens + 1, updated_at = now() WHERE id < '20000000-0000-4000-8000-000000000000'")
	run(t, db.Conn, "DELETE FROM task_usage WHERE id > 'e0000000-0000-4000-8000-000000000000'")
	before, err := lab.OracleBefore(ctx, db.Conn, horizon)
	if err != nil {
		t.Fatal(err)
	}
	if len(before) != 0 {
		t.Errorf("%d differences before the horizon, the first: %s", len(before), before[0])
	}
	if len(differences(t, db.Conn)) == 0 {
		t.Error("no differences without a horizon, want those of the changes")
	}
	run(t, db.Conn, "UPDATE task_usage_hourly SET event_count = event_count + 1 WHERE bucket_hour = (SELECT min(bucket_hour) FROM task_usage_hourly)")
	if before, err = lab.OracleBefore(ctx, db.Conn, horizon); err != nil || len(before) == 0 {
		t.Errorf("a wrong old bucket gives %d differences and %v, want it found", len(before), err)
	}
}
