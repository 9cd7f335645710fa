package rollup_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/rollup/engine"
)

// node is one node of EXPLAIN (ANALYZE, FORMAT JSON).
type node struct {
	Type    string  `json:"Node Type"`
	Table   string  `json:"Relation Name"`
	Index   string  `json:"Index Name"`
	Rows    float64 `json:"Actual Rows"`
	Loops   float64 `json:"Actual Loops"`
	Removed float64 `json:"Rows Removed by Filter"`
	Plans   []node  `json:"Plans"`
}

func (n node) walk(visit func(node)) {
	visit(n)
	for _, p := range n.Plans {
		p.walk(visit)
	}
}

// explain runs a statement as the agent would, rolls it back and returns its plan.
func explain(t *testing.T, conn *pgx.Conn, sql string, args ...any) node {
	t.Helper()
	ctx := context.Background()
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx)
	if _, err := tx.Exec(ctx, "set local jit = off"); err != nil {
		t.Fatal(err)
	}
	var out []byte
	args = append([]any{pgx.QueryExecModeExec}, args...)
	if err := tx.QueryRow(ctx, "explain (analyze, format json) "+sql, args...).Scan(&out); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal(out, &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan
}

// readsLittle demands that no node of a plan reads more than most rows of the big tables.
func readsLittle(t *testing.T, what string, plan node, most float64) {
	t.Helper()
	seen := false
	plan.walk(func(n node) {
		if n.Table != "task_usage" && n.Table != "agent_task_queue" {
			return
		}
		seen = true
		if read := (n.Rows + n.Removed) * n.Loops; strings.HasSuffix(n.Type, "Seq Scan") || read > most {
			t.Errorf("%s: %s on %s %s reads %.0f rows, want at most %.0f by an index", what, n.Type, n.Table, n.Index, read, most)
		}
	})
	if !seen {
		t.Errorf("%s: the plan reads neither task_usage nor agent_task_queue", what)
	}
}

// TestASliceReadsWhatItTouchesAndNothingElse looks at the plans of a five-minute
// slice where the planner is tempted most: without statistics, with one agent
// that has nearly all tasks, with an hour that has half of all rows, and with a
// million tasks.
func TestASliceReadsWhatItTouchesAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		name  string
		shape func() lab.Shape
		blind bool // without statistics, as after a restore
	}{
		{"no statistics", func() lab.Shape { return lab.Typical(41, 50_000) }, true},
		{"one agent has nine tenths", func() lab.Shape { s := lab.Typical(42, 50_000); s.SkewAgent = 0.9; return s }, false},
		{"one hour has half of the rows", func() lab.Shape { s := lab.Typical(43, 50_000); s.SkewHour = 0.5; return s }, false},
		{"a million tasks", func() lab.Shape { return lab.Typical(44, 1_000_000) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			exec(t, db.Conn, "alter table task_usage set (autovacuum_enabled = off); alter table agent_task_queue set (autovacuum_enabled = off)")
			seed(t, db.Conn, c.shape())
			if c.blind {
				exec(t, db.Conn, "delete from pg_statistic")
				exec(t, db.Conn, "update pg_class set reltuples = -1, relpages = 0 where relname like 'task\\_%' or relname like 'agent%' or relname like 'issue%' or relname like 'idx\\_%'")
			}
			end := get[time.Time](t, db.Conn, "select max(created_at) from task_usage")
			from := end.Add(-5 * time.Minute)
			most := get[float64](t, db.Conn, `select greatest(500, 4 * sum(n)) from (
				select (select count(*) from task_usage r where r.created_at >= h and r.created_at < h + interval '1 hour') n
				from (select distinct date_trunc('hour', created_at, 'UTC') h from task_usage
				      where (updated_at >= $1 and updated_at < $2) or (created_at >= $1 and created_at < $2)) x) y`, from, end)
			if total := get[float64](t, db.Conn, "select count(*) from task_usage"); most > total/10 {
				t.Fatalf("the slice touches hours with %.0f of %.0f rows: no fair test", most, total)
			}
			p, err := pipeline.Inspect(t.Context(), db.Conn, pipeline.Shipped())
			if err != nil {
				t.Fatal(err)
			}
			columns := p.Columns
			floor := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
			readsLittle(t, "slice", explain(t, db.Conn, engine.Statement("slice", columns), from, end, from, nil), most)
			readsLittle(t, "plan", explain(t, db.Conn, engine.Statement("plan_events", columns), from, end, 20_000, from, 20_000, false), most)
			exec(t, db.Conn, `insert into task_usage_hourly_dirty (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
				select distinct date_trunc('hour', u.created_at, 'UTC'), a.workspace_id, q.runtime_id, q.agent_id, i.project_id, u.provider, u.model
				from task_usage u join agent_task_queue q on q.id = u.task_id join agent a on a.id = q.agent_id left join issue i on i.id = q.issue_id
				where u.created_at >= $1 and u.created_at < $2 and q.runtime_id is not null`, from, end)
			readsLittle(t, "queue's plan", explain(t, db.Conn, engine.Statement("plan_drain", columns), floor, 2000, 20_000), most)
			ctids := get[[]string](t, db.Conn, "select array_agg(ctid::text) from task_usage_hourly_dirty")
			readsLittle(t, "queue", explain(t, db.Conn, engine.Statement("drain", columns), ctids), most)
		})
	}
}
