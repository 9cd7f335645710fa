package lab_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// doOperation does one of Load's operations in a transaction.
func doOperation(t *testing.T, conn *pgx.Conn, name string) {
	t.Helper()
	sql, err := lab.LoadSQL(name)
	if err != nil {
		t.Fatal(err)
	}
	run(t, conn, sql) // several statements in one message are one transaction
}

// runtimeWithAgent makes new_runtime's runtime, moves tasks to it and gives some to its system
// agent, and rolls everything up.
func runtimeWithAgent(t *testing.T, gen lab.Generation) *labtest.DB {
	t.Helper()
	db := labtest.New(t, gen)
	seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 60, Workspaces: 1, Agents: 2, Runtimes: 2})
	doOperation(t, db.Conn, "new_runtime")
	run(t, db.Conn, `UPDATE agent_task_queue SET runtime_id = (SELECT id FROM agent_runtime WHERE name = 'load-runtime')
		WHERE id IN (SELECT id FROM agent_task_queue ORDER BY id LIMIT 20)`)
	run(t, db.Conn, `UPDATE agent_task_queue SET agent_id = (SELECT id FROM agent WHERE is_system)
		WHERE id IN (SELECT id FROM agent_task_queue ORDER BY id OFFSET 10 LIMIT 20)`)
	if err := lab.RollUp(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestLoadDeletesAnAgentAndQueuesNothing(t *testing.T) {
	for _, gen := range []lab.Generation{lab.Gen102, lab.Gen272} {
		t.Run(string(gen), func(t *testing.T) {
			db := labtest.New(t, gen)
			seed(t, db.Conn, lab.Shape{Seed: 3, Tasks: 60, Agents: 4})
			run(t, db.Conn, "UPDATE agent SET name = 'load-agent' WHERE id = (SELECT agent_id FROM agent_task_queue ORDER BY 1 LIMIT 1)")
			if err := lab.RollUp(t.Context(), db.Conn); err != nil {
				t.Fatal(err)
			}
			before := get[int64](t, db.Conn, "SELECT count(*) FROM task_usage_hourly")
			doOperation(t, db.Conn, "delete_agent")
			if left := get[int](t, db.Conn, "SELECT count(*) FROM agent_task_queue q LEFT JOIN agent a ON a.id = q.agent_id WHERE a.id IS NULL"); left != 0 {
				t.Errorf("%d tasks of no agent, want them gone with it", left)
			}
			if queued := get[int](t, db.Conn, "SELECT count(*) FROM task_usage_hourly_dirty"); queued != 0 {
				t.Errorf("%d keys queued, want none", queued)
			}
			if after := get[int64](t, db.Conn, "SELECT count(*) FROM task_usage_hourly"); after != before {
				t.Errorf("%d hourly rows of %d, want all of them", after, before)
			}
			if kept := aside(t, db.Conn); kept.KeptRows == 0 || kept.KeptAgents != 1 {
				t.Errorf("aside is %+v, want kept rows of one agent", kept)
			}
			wantNoDifference(t, db.Conn)
		})
	}
}

func TestLoadDeletesARuntimeBySettingItsTasksFreeFirst(t *testing.T) {
	db := runtimeWithAgent(t, lab.Gen272)
	run(t, db.Conn, "UPDATE agent_task_queue SET completed_at = NULL, status = 'running' WHERE id = (SELECT id FROM agent_task_queue ORDER BY id LIMIT 1)")
	keys := get[int](t, db.Conn, "SELECT count(*) FROM task_usage_hourly WHERE runtime_id = (SELECT id FROM agent_runtime WHERE name = 'load-runtime')")
	systemKeys := get[int](t, db.Conn, `SELECT count(*) FROM task_usage_hourly WHERE runtime_id = (SELECT id FROM agent_runtime WHERE name = 'load-runtime')
		AND agent_id = (SELECT id FROM agent WHERE is_system)`)
	if systemKeys == 0 || systemKeys == keys {
		t.Fatalf("%d of %d keys are of the system agent: this proves nothing", systemKeys, keys)
	}
	doOperation(t, db.Conn, "delete_runtime")
	if n := get[int](t, db.Conn, "SELECT count(*) FROM agent_runtime WHERE name = 'load-runtime'"); n != 0 {
		t.Error("the runtime is still there")
	}
	if n := get[int](t, db.Conn, "SELECT count(*) FROM agent WHERE is_system"); n != 0 {
		t.Error("its system agent is still there")
	}
	if n := get[int](t, db.Conn, "SELECT count(*) FROM agent_task_queue WHERE runtime_id IS NULL AND completed_at IS NOT NULL"); n != 10 {
		t.Errorf("%d detached tasks, want the 10 of other agents", n)
	}
	// The keys were queued before the agent went, so those of the system agent are queued as well.
	if n := get[int](t, db.Conn, "SELECT count(*) FROM task_usage_hourly_dirty"); n != keys {
		t.Errorf("%d keys queued, want all %d of the runtime", n, keys)
	}
	if n := get[int](t, db.Conn, "SELECT count(*) FROM task_usage_hourly_dirty d WHERE NOT EXISTS (SELECT 1 FROM agent a WHERE a.id = d.agent_id)"); n != systemKeys {
		t.Errorf("%d keys of the deleted agent queued, want %d", n, systemKeys)
	}
}

func TestLoadDeletesARuntimeWithItsTasksBefore251(t *testing.T) {
	db := runtimeWithAgent(t, lab.Gen213)
	doOperation(t, db.Conn, "delete_runtime_before_251")
	if n := get[int](t, db.Conn, "SELECT count(*) FROM agent_task_queue"); n != 30 {
		t.Errorf("%d tasks, want 30: those of the runtime and those of its agent are gone", n)
	}
	if n := get[int](t, db.Conn, "SELECT count(*) FROM agent WHERE is_system"); n != 0 {
		t.Error("its system agent is still there")
	}
	run(t, db.Conn, wholeWindow)
	wantNoDifference(t, db.Conn)
}
