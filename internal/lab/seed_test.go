package lab_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// end is a fixed end of history: a Thursday.
var end = time.Date(2026, 3, 12, 14, 30, 0, 0, time.UTC)

// digest is a database's content in one value.
func digest(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	return get[string](t, conn, `SELECT md5(string_agg(line, E'\n' ORDER BY line)) FROM (
		SELECT u::text FROM task_usage u UNION ALL SELECT q::text FROM agent_task_queue q
		UNION ALL SELECT i::text FROM issue i UNION ALL SELECT a::text FROM agent a
		UNION ALL SELECT p::text FROM project p UNION ALL SELECT w.id::text FROM workspace w) x (line)`)
}

func TestTheSameSeedAndEndGiveTheSameRows(t *testing.T) {
	of := func(seedNumber uint64) string {
		db := labtest.New(t, lab.Gen213)
		shape := lab.Typical(seedNumber, 300)
		shape.End = end
		seed(t, db.Conn, shape)
		return digest(t, db.Conn)
	}
	first, again, other := of(1), of(1), of(2)
	if first != again {
		t.Error("the same seed gave different rows")
	}
	if first == other {
		t.Error("different seeds gave the same rows")
	}
}

func TestWhatAShapeAsksForIsInTheData(t *testing.T) {
	base := lab.Shape{Seed: 11, Tasks: 2000, End: end}
	with := func(change func(*lab.Shape)) lab.Shape {
		s := base
		change(&s)
		return s
	}
	for _, c := range []struct {
		name     string
		shape    lab.Shape
		sql      string // gives a number
		min, max float64
	}{
		{"tasks", base, "SELECT count(*) FROM agent_task_queue", 2000, 2000},
		{"usage rows a task", base, "SELECT count(*) / 2000.0 FROM task_usage", 1.15, 1.25},
		{"months", base, "SELECT count(DISTINCT date_trunc('month', created_at)) FROM task_usage", 12, 13},
		{"events end at the end", base, "SELECT extract(epoch FROM max(coalesce(updated_at, created_at)) - '2026-03-12 14:30+00') FROM task_usage", -7200, 0},
		{"no corrections by default", base, "SELECT count(*) FROM task_usage WHERE updated_at IS DISTINCT FROM created_at", 0, 0},
		{"all have issues by default", base, "SELECT count(*) FROM agent_task_queue WHERE issue_id IS NULL", 0, 0},
		{"hourly rows are about half", with(func(s *lab.Shape) { s.NoIssue = 0.1; s.NoProject = 0.2 }),
			"SELECT count(DISTINCT (task_usage_hour_bucket(tu.created_at), agent_id, runtime_id, project_id, provider, model))::float / count(*) FROM task_usage tu JOIN agent_task_queue q ON q.id = task_id LEFT JOIN issue i ON i.id = issue_id", 0.4, 0.6},
		{"corrections", with(func(s *lab.Shape) { s.Corrections = 0.3 }), "SELECT avg((updated_at > created_at)::int) FROM task_usage", 0.25, 0.35},
		{"corrections in a later month", with(func(s *lab.Shape) { s.Corrections = 0.5; s.LateCorrections = 1 }),
			"SELECT avg((date_trunc('month', updated_at) > date_trunc('month', created_at))::int) FROM task_usage WHERE created_at < '2026-01-01'", 0.4, 0.6},
		{"no updated_at", with(func(s *lab.Shape) { s.NoUpdatedAt = 0.4 }), "SELECT avg((updated_at IS NULL)::int) FROM task_usage", 0.35, 0.45},
		{"no issue", with(func(s *lab.Shape) { s.NoIssue = 0.25 }), "SELECT avg((issue_id IS NULL)::int) FROM agent_task_queue", 0.2, 0.3},
		{"no project", with(func(s *lab.Shape) { s.NoProject = 0.5 }), "SELECT avg((project_id IS NULL)::int) FROM issue", 0.4, 0.6},
		{"no cost", with(func(s *lab.Shape) { s.NoCost = 0.3 }), "SELECT avg((cost_usd_ticks IS NULL)::int) FROM task_usage", 0.25, 0.35},
		{"no runtime", with(func(s *lab.Shape) { s.NoRuntime = 0.3 }), "SELECT avg((runtime_id IS NULL)::int) FROM agent_task_queue", 0.25, 0.35},
		{"a burst has one timestamp", with(func(s *lab.Shape) { s.Bursts = 1; s.BurstRows = 500 }),
			"SELECT max(n) FROM (SELECT count(*) n FROM task_usage GROUP BY updated_at) x", 400, 700},
		{"a burst is spread over history", with(func(s *lab.Shape) { s.Bursts = 1; s.BurstRows = 500 }),
			"SELECT count(DISTINCT date_trunc('hour', created_at)) FROM task_usage WHERE updated_at > created_at", 200, 500},
		{"bursts", with(func(s *lab.Shape) { s.Bursts = 4; s.BurstRows = 50 }),
			"SELECT count(*) FROM (SELECT 1 FROM task_usage GROUP BY updated_at HAVING count(*) > 30) x", 4, 4},
		{"quiet months", with(func(s *lab.Shape) { s.QuietMonths = 3 }),
			"SELECT extract(epoch FROM max(gap)) / 86400 FROM (SELECT created_at - lag(created_at) OVER (ORDER BY created_at) gap FROM task_usage) x", 89, 95},
		{"busiest agent", with(func(s *lab.Shape) { s.SkewAgent = 0.9 }), "SELECT max(n) / 2000.0 FROM (SELECT count(*) n FROM agent_task_queue GROUP BY agent_id) x", 0.85, 0.95},
		{"busiest hour", with(func(s *lab.Shape) { s.SkewHour = 0.5 }),
			"SELECT max(n)::float / sum(n) FROM (SELECT count(*) n FROM task_usage GROUP BY date_trunc('hour', created_at)) x", 0.45, 0.55},
		{"people", with(func(s *lab.Shape) { s.Workspaces = 3; s.Agents = 9; s.Runtimes = 5; s.Projects = 4; s.Models = 7 }),
			"SELECT count(DISTINCT a.workspace_id) * 1000 + count(DISTINCT agent_id) * 100 + count(DISTINCT q.runtime_id) * 10 + count(DISTINCT model) FROM task_usage JOIN agent_task_queue q ON q.id = task_id JOIN agent a ON a.id = agent_id", 3957, 3957},
		{"all within one workspace", with(func(s *lab.Shape) { s.Workspaces = 3 }),
			"SELECT count(*) FROM agent_task_queue q JOIN agent a ON a.id = agent_id JOIN agent_runtime r ON r.id = q.runtime_id LEFT JOIN issue i ON i.id = issue_id WHERE a.workspace_id <> r.workspace_id OR a.workspace_id <> i.workspace_id", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, c.shape)
			if got := get[float64](t, db.Conn, "SELECT ("+c.sql+")::float8"); got < c.min || got > c.max {
				t.Errorf("got %g, want %g to %g", got, c.min, c.max)
			}
		})
	}
}

func TestSeededRowsHoldTheForeignKeysThatSeedingDidNotCheck(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(4, 500))
	orphans := get[int](t, db.Conn, `SELECT count(*) FROM task_usage tu
		LEFT JOIN agent_task_queue q ON q.id = tu.task_id LEFT JOIN agent a ON a.id = q.agent_id
		LEFT JOIN agent_runtime r ON r.id = q.runtime_id LEFT JOIN issue i ON i.id = q.issue_id
		LEFT JOIN project p ON p.id = i.project_id LEFT JOIN workspace w ON w.id = a.workspace_id
		WHERE a.id IS NULL OR w.id IS NULL OR (q.runtime_id IS NOT NULL AND r.id IS NULL)
		   OR (q.issue_id IS NOT NULL AND i.id IS NULL) OR (i.project_id IS NOT NULL AND p.id IS NULL)`)
	if orphans != 0 {
		t.Errorf("%d usage rows refer to nothing", orphans)
	}
}

func TestSeedFillsTheLegacyDailyTables(t *testing.T) {
	for _, gen := range []lab.Generation{lab.Gen097, lab.GenInterrupted} {
		db := labtest.New(t, gen)
		seed(t, db.Conn, lab.Typical(4, 200))
		if !get[bool](t, db.Conn, `SELECT (SELECT sum(input_tokens) FROM task_usage) = ALL (ARRAY[
			(SELECT sum(input_tokens) FROM task_usage_daily), (SELECT sum(input_tokens) FROM task_usage_dashboard_daily)])`) {
			t.Errorf("generation %s: the legacy tables' tokens are not usage's", gen)
		}
	}
}

func TestAnImpossibleShapeIsRefusedWithAllItsFaults(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	_, err := lab.Seed(context.Background(), db.Conn, lab.Shape{Tasks: -1, NoIssue: 1.5, Months: 2, QuietMonths: 2})
	want := "checking the shape: share no issue is 1.5, want 0 to 1\ntasks is -1, want at least 1\n2 quiet months leave nothing of 2"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestTheRealShapeIsAsRealDataIs(t *testing.T) {
	const tasks = 6000
	db := labtest.New(t, lab.Gen272)
	shape := lab.Real(5, tasks)
	shape.End, shape.Months = end, 1
	done, err := lab.Seed(t.Context(), db.Conn, shape)
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.RollUp(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	heap, total, err := lab.TaskBytes(t.Context(), db.Conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a task takes %d bytes, %d with what is out of line", heap, total)
	if heap < 500 || heap > 800 {
		t.Errorf("a task takes %d bytes in the heap, want about 600", heap)
	}
	if out := total - heap; out < 1200 || out > 2200 { // a third of 4 kB, in pages of four pieces
		t.Errorf("a task takes %d bytes out of line, want a third of some 4 to 5 kB", out)
	}
	for _, c := range []struct {
		name, sql string
		min, max  float64
	}{
		{"hourly rows for a usage row", "SELECT count(*)::float / $1::float FROM task_usage_hourly", 0.93, 1},
		{"issues for a task", "SELECT count(*)::float * 1.2 / $1::float FROM issue", 0.045, 0.055},
		{"agents", "SELECT count(*)::float + 0 * $1::float FROM agent", 24, 100},
		{"rows out of the order of time", `SELECT count(*)::float + 0 * $1::float FROM (SELECT created_at < lag(created_at) OVER (ORDER BY ctid) AS back FROM task_usage) x WHERE back`, 0, 0},
	} {
		if got := get[float64](t, db.Conn, c.sql, done.UsageRows); got < c.min || got > c.max {
			t.Errorf("%s: %g, want %g to %g", c.name, got, c.min, c.max)
		}
	}
}
