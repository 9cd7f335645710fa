package verify_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/verify"
)

// planNode is what EXPLAIN says of one node.
type planNode struct {
	Type     string     `json:"Node Type"`
	Relation string     `json:"Relation Name"`
	Plans    []planNode `json:"Plans"`
}

func (n planNode) walk(do func(planNode)) {
	do(n)
	for _, p := range n.Plans {
		p.walk(do)
	}
}

func TestNoChunkReadsAWholeTable(t *testing.T) {
	for _, c := range []struct {
		name  string
		shape lab.Shape
		sql   string // what becomes of the statistics
	}{
		{"with statistics", lab.Shape{Seed: 31, Tasks: 20_000}, "analyze"},
		{"without statistics", lab.Shape{Seed: 31, Tasks: 20_000}, "delete from pg_statistic; update pg_class set reltuples = -1, relpages = 0 where relnamespace = 'public'::regnamespace"},
		{"one busy agent, one busy hour", lab.Shape{Seed: 32, Tasks: 20_000, SkewAgent: 0.9, SkewHour: 0.5}, "analyze"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := rolledUp(t, lab.Gen272, c.shape)
			exec(t, db.Conn, c.sql)
			p, err := pipeline.Inspect(t.Context(), db.Conn, pipeline.Shipped())
			if err != nil {
				t.Fatal(err)
			}
			at := get[time.Time](t, db.Conn, "select min(bucket_hour) + (max(bucket_hour) - min(bucket_hour)) / 2 from task_usage_hourly")
			rows, err := db.Conn.Query(t.Context(), "explain (format json) "+verify.Statement("compare", p.Columns), pgx.QueryExecModeExec,
				[]time.Time{at}, []time.Time{at.Add(24 * time.Hour)}, []time.Time{}, []time.Time{}, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			text, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			var plans []struct{ Plan planNode }
			if err := json.Unmarshal([]byte(text), &plans); err != nil {
				t.Fatal(err)
			}
			read := 0
			plans[0].Plan.walk(func(n planNode) {
				if slices.Contains([]string{"task_usage", "agent_task_queue", "task_usage_hourly"}, n.Relation) {
					read++
					if n.Type == "Seq Scan" {
						t.Errorf("a %s on %s", n.Type, n.Relation)
					}
				}
			})
			if read != 3 {
				t.Errorf("%d scans of the three tables, want each read once", read)
			}
		})
	}
}
