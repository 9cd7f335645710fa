package rollup_test

import (
	"context"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

// sharedHours is a history whose hours are shared by several agents and models.
func sharedHours(seedNumber uint64) lab.Shape {
	shape := lab.Typical(seedNumber, 1000)
	shape.Months, shape.Agents, shape.Models = 1, 6, 2
	return shape
}

// keep remembers the hourly rows of the busiest agent, as they are now.
func keep(t testing.TB, db *labtest.DB) {
	t.Helper()
	exec(t, db.Conn, `create table kept as select h.* from task_usage_hourly h
		where h.agent_id = (select agent_id from task_usage_hourly group by 1 order by count(*) desc limit 1)`)
	if get[int64](t, db.Conn, "select count(*) from kept") == 0 {
		t.Fatal("no agent has hourly rows")
	}
}

// deleteKeptAgent deletes the agent that keep has chosen; its tasks and usage go with it.
func deleteKeptAgent(t testing.TB, db *labtest.DB) {
	t.Helper()
	if exec(t, db.Conn, "delete from agent where id in (select agent_id from kept)") != 1 {
		t.Fatal("no agent was deleted")
	}
}

// correct corrects the usage that is left in the hours of the kept rows, in the first second after the watermark.
func correct(t testing.TB, db *labtest.DB) {
	t.Helper()
	n := exec(t, db.Conn, `update task_usage set input_tokens = input_tokens + 1,
			updated_at = (select watermark_at from task_usage_hourly_rollup_state) + interval '1 microsecond'
		where date_trunc('hour', created_at, 'UTC') in (select bucket_hour from kept)`)
	if n == 0 {
		t.Fatal("the deleted agent shared no hour with another")
	}
}

// stillKept demands that every hourly row that keep remembered is what it was.
func stillKept(t testing.TB, db *labtest.DB) {
	t.Helper()
	lost := get[int64](t, db.Conn, "select count(*) from (table kept except table task_usage_hourly) x")
	if lost > 0 {
		t.Errorf("%d of %d hourly rows of a deleted agent were deleted or changed", lost, get[int64](t, db.Conn, "select count(*) from kept"))
	}
}

// rollbackWatermark makes room between the watermark and the horizon for what a test corrects.
const rollbackWatermark = "update task_usage_hourly_rollup_state set watermark_at = watermark_at - interval '10 seconds'"

func TestHourlyRowsOfADeletedAgentAreKept(t *testing.T) {
	for _, engine := range engines {
		for name, disturb := range map[string]func(t *testing.T, db *labtest.DB){
			"other usage of its hours is corrected": func(t *testing.T, db *labtest.DB) {
				deleteKeptAgent(t, db)
				correct(t, db)
			},
			"its keys were queued": func(t *testing.T, db *labtest.DB) {
				// Moved to another runtime just before: the triggers queue the old keys and the new.
				exec(t, db.Conn, `update agent_task_queue set runtime_id = (select id from agent_runtime where id not in (select runtime_id from kept) limit 1)
					where agent_id in (select agent_id from kept)`)
				exec(t, db.Conn, ageQueue)
				if queued(t, db) == 0 {
					t.Fatal("the triggers queued nothing")
				}
				deleteKeptAgent(t, db)
				correct(t, db)
			},
			"its issues were deleted before it": func(t *testing.T, db *labtest.DB) {
				exec(t, db.Conn, "delete from issue where id in (select issue_id from agent_task_queue where agent_id in (select agent_id from kept))")
				exec(t, db.Conn, ageQueue)
				deleteKeptAgent(t, db)
				if get[int64](t, db.Conn, "select count(*) from task_usage_hourly_dirty d join kept k using (agent_id, bucket_hour, model)") == 0 {
					t.Fatal("the triggers queued no key of the agent")
				}
			},
			"it goes in the transaction that unbinds its runtime": func(t *testing.T, db *labtest.DB) {
				exec(t, db.Conn, `with u as (update agent_task_queue set runtime_id = null, completed_at = coalesce(completed_at, now())
					where agent_id in (select agent_id from kept) returning 1) select count(*) from u`)
				exec(t, db.Conn, ageQueue)
				deleteKeptAgent(t, db)
				if queued(t, db) == 0 {
					t.Fatal("the triggers queued nothing")
				}
			},
		} {
			t.Run(engine+"/"+name, func(t *testing.T) {
				db := labtest.New(t, lab.Gen272)
				seed(t, db.Conn, sharedHours(61))
				a := newAgent(t, db, engine)
				a.run()
				exec(t, db.Conn, rollbackWatermark)
				keep(t, db)
				disturb(t, db)
				a.run()
				stillKept(t, db)
				if n := get[int64](t, db.Conn, "select count(*) from task_usage_hourly_dirty"); n != 0 {
					t.Errorf("%d keys are still queued", n)
				}
				exact(t, db.Conn)
			})
		}
	}
}

func TestABackfillOverFilledHoursKeepsDeletedAgentsAndRemovesWhatIsCountedTwice(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, lab.Typical(62, 1000))
			a := newAgent(t, db, engine)
			a.run()
			keep(t, db)
			deleteKeptAgent(t, db)
			// Moved without a trace, as where no trigger fires: both keys count the usage.
			exec(t, db.Conn, "set session_replication_role = replica")
			exec(t, db.Conn, `update agent_task_queue set runtime_id = (select min(id::text)::uuid from agent_runtime)
				where id in (select id from agent_task_queue order by id limit 100)`)
			exec(t, db.Conn, "reset session_replication_role")
			if engine == "function" { // the database's own learns of what has no usage by the queue alone
				exec(t, db.Conn, `insert into task_usage_hourly_dirty (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model, enqueued_at)
					select bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model, now() - interval '10 minutes' from task_usage_hourly`)
			}
			backfillAgain(t, a)
			stillKept(t, db)
			exact(t, db.Conn)
		})
	}
}

// backfillAgain makes a backfill over all of history, whatever was done before.
func backfillAgain(t testing.TB, a *agent) {
	t.Helper()
	w := a.walker()
	defer w.Close(context.Background())
	o := rollup.BackfillOptions{Restart: true}
	p, err := w.PlanBackfill(context.Background(), o)
	if err != nil {
		t.Fatalf("planning the backfill: %v", err)
	}
	if err := w.Backfill(context.Background(), p, o); err != nil {
		t.Fatalf("backfill: %v", err)
	}
}

func TestABackfillLeavesHoursAloneThatHaveNoUsageAtAll(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(63, 500))
	a := newAgent(t, db, "set")
	a.run()
	// An operator prunes raw usage and keeps the hourly table as the archive.
	exec(t, db.Conn, "create table kept as select * from task_usage_hourly where bucket_hour < now() - interval '90 days'")
	exec(t, db.Conn, "alter table task_usage disable trigger user")
	if exec(t, db.Conn, "delete from task_usage where created_at < now() - interval '90 days' + interval '1 hour'") == 0 {
		t.Fatal("no usage was that old")
	}
	exec(t, db.Conn, "alter table task_usage enable trigger user")
	backfillAgain(t, a)
	stillKept(t, db)
}

func TestAnAgentDeletedWhileASliceRunsIsKept(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, sharedHours(64))
			a := newAgent(t, db, engine)
			a.run()
			exec(t, db.Conn, rollbackWatermark)
			keep(t, db)
			correct(t, db)
			// The slice stops before its first write.
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			blocker := db.Connect(t)
			exec(t, blocker, "begin")
			exec(t, blocker, "lock table task_usage_hourly in share mode")
			done := make(chan error, 1)
			a.opts.LockPatience, a.opts.Walk.LockTimeout = 5*time.Minute, 5*time.Minute
			w := a.walker()
			go func() { done <- w.Run(ctx) }()
			waitFor(t, "the slice to wait for the hourly table", func() bool {
				return get[bool](t, db.Conn, "select exists (select from pg_locks where relation = 'task_usage_hourly'::regclass and not granted)")
			})
			deleteKeptAgent(t, db)
			exec(t, blocker, "rollback")
			if err := <-done; err != nil {
				t.Fatalf("run: %v", err)
			}
			// What the slice read of the agent was committed, and so is what it wrote.
			if n := get[int64](t, db.Conn, "select count(*) from kept k where not exists (select from task_usage_hourly h where (h.bucket_hour, h.agent_id, h.model) = (k.bucket_hour, k.agent_id, k.model))"); n > 0 {
				t.Errorf("%d hourly rows of the deleted agent are gone", n)
			}
			a.run()
			exact(t, db.Conn)
		})
	}
}
