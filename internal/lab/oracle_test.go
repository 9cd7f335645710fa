package lab_test

import (
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// addUsage adds usage of model $1 with $2 input tokens at $3 to the first $4 tasks of one agent, runtime
// and no issue.
const addUsage = `INSERT INTO task_usage (task_id, provider, model, input_tokens, created_at, updated_at)
	SELECT id, 'odd', $1, $2, $3::text::timestamptz, now() - interval '1 hour' FROM agent_task_queue
	WHERE (agent_id, runtime_id) = (SELECT agent_id, runtime_id FROM agent_task_queue WHERE issue_id IS NULL GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY 1, 2 LIMIT 1)
	  AND issue_id IS NULL ORDER BY id LIMIT $4`

func TestTheOracleSetsHourlyRowsOfDeletedAgentsAside(t *testing.T) {
	for _, gen := range hourly() {
		t.Run(string(gen), func(t *testing.T) {
			db := labtest.New(t, gen)
			seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 100, Agents: 4})
			if err := lab.RollUp(t.Context(), db.Conn); err != nil {
				t.Fatal(err)
			}
			if got, none := aside(t, db.Conn), (lab.Aside{KeptTokens: "0"}); got != none {
				t.Fatalf("aside before any deletion: %+v", got)
			}
			run(t, db.Conn, "CREATE TEMPORARY TABLE gone AS SELECT agent_id AS id FROM agent_task_queue ORDER BY 1 LIMIT 1")
			rows := get[int64](t, db.Conn, "SELECT count(*) FROM task_usage_hourly WHERE agent_id IN (TABLE gone)")
			tokens := get[string](t, db.Conn, `SELECT sum(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens)::text
				FROM task_usage_hourly WHERE agent_id IN (TABLE gone)`)
			run(t, db.Conn, "DELETE FROM agent WHERE id IN (TABLE gone)")
			wantNoDifference(t, db.Conn)
			if got, want := aside(t, db.Conn), (lab.Aside{KeptRows: rows, KeptAgents: 1, KeptTokens: tokens}); got != want {
				t.Errorf("aside is %+v, want %+v", got, want)
			}
			// What can be recounted is a difference as before.
			run(t, db.Conn, "DELETE FROM task_usage WHERE id = (SELECT id FROM task_usage ORDER BY id LIMIT 1)")
			if diffs := differences(t, db.Conn); len(diffs) != 1 {
				t.Errorf("%d differences after a usage row of an agent that exists was deleted, want 1", len(diffs))
			}
		})
	}
}

func TestTheOracleComparesFarDatesAndSurvivesOddRows(t *testing.T) {
	for _, gen := range hourly() {
		t.Run(string(gen), func(t *testing.T) {
			db := labtest.New(t, gen)
			seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 100, Agents: 2, Runtimes: 2, NoIssue: 1})
			if err := lab.RollUp(t.Context(), db.Conn); err != nil {
				t.Fatal(err)
			}
			const most = int64(9223372036854775807)
			recent := get[string](t, db.Conn, "SELECT (now() - interval '2 hours')::text")
			run(t, db.Conn, addUsage, "far", 1, "2400-01-01", 1)
			run(t, db.Conn, addUsage, "bc", 1, "0044-03-15 BC", 1)
			run(t, db.Conn, addUsage, "most", most, recent, 1)
			for _, finite := range differences(t, db.Conn) {
				if finite.Kind != "missing" {
					t.Errorf("want a missing key, got %s", finite)
				}
			}
			if n := len(differences(t, db.Conn)); n != 3 {
				t.Fatalf("%d differences, want one for each finite date and sum: 3", n)
			}
			run(t, db.Conn, addUsage, "inf", 1, "infinity", 1)
			run(t, db.Conn, addUsage, "ninf", 1, "-infinity", 1)
			run(t, db.Conn, addUsage, "big", most, recent, 2)
			run(t, db.Conn, addUsage, "small", -most, recent, 2)
			// An hourly row that an odd key has is neither right nor wrong.
			run(t, db.Conn, `INSERT INTO task_usage_hourly (bucket_hour, workspace_id, runtime_id, agent_id, provider, model)
				SELECT 'infinity', a.workspace_id, r.id, a.id, 'odd', 'left over' FROM agent a, agent_runtime r LIMIT 1`)
			diffs := differences(t, db.Conn)
			if len(diffs) != 3 {
				t.Errorf("%d differences with odd rows, want the same 3", len(diffs))
			}
			for _, d := range diffs {
				if d.Model == "most" && !strings.Contains(d.String(), "want [9223372036854775807 0") {
					t.Errorf("the greatest counter is not shown: %s", d)
				}
			}
			if odd := aside(t, db.Conn).OddKeys; odd != 5 {
				t.Errorf("%d odd keys, want 5", odd)
			}
		})
	}
}

func TestKeptTokensAreCountedBeyondAnInt64(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 40, Agents: 2, Runtimes: 2, NoIssue: 1, NoCost: 1})
	if err := lab.RollUp(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	run(t, db.Conn, "UPDATE task_usage_hourly SET input_tokens = 9223372036854775807, output_tokens = 9223372036854775807, cache_read_tokens = 9223372036854775807")
	run(t, db.Conn, "DELETE FROM agent WHERE id = (SELECT id FROM agent ORDER BY id LIMIT 1)")
	got := aside(t, db.Conn)
	want := get[string](t, db.Conn, `SELECT sum(input_tokens::numeric * 3 + cache_write_tokens)::text FROM task_usage_hourly
		WHERE agent_id NOT IN (SELECT id FROM agent)`)
	if got.KeptTokens != want {
		t.Errorf("kept tokens are %s, want %s", got.KeptTokens, want)
	}
}
