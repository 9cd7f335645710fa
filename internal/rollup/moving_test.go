package rollup_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

// The tests of this file move usage to other keys in transactions that do not see each other, or not
// the usage: what the database's triggers queue then is not all that is wrong.

// moved makes a database that is rolled up, and returns an issue with usage whose project can change.
func moved(t testing.TB) (db *labtest.DB, a *agent, issue string) {
	t.Helper()
	db = labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(61, 300))
	a = newAgent(t, db, "set")
	a.opts.HorizonDelay = time.Nanosecond
	a.run()
	issue = get[string](t, db.Conn, `select q.issue_id::text from agent_task_queue q join issue i on i.id = q.issue_id
		join task_usage u on u.task_id = q.id where q.runtime_id is not null and i.project_id is not null order by 1 limit 1`)
	return db, a, issue
}

const (
	moveProject = "update issue set project_id = null where id = $1"
	// In an hour and a model that have no usage yet, so that nothing of it is queued.
	useIssue = `insert into task_usage (task_id, provider, model, input_tokens, created_at, updated_at)
		select id, 'beside', 'm', 7, now(), now() from agent_task_queue where issue_id = $1 and runtime_id is not null order by id limit 1`
	moveRuntime = `update agent_task_queue q set runtime_id = (select r.id from agent_runtime r join agent a on a.workspace_id = r.workspace_id
		where a.id = q.agent_id and r.id <> q.runtime_id order by r.id limit 1) where issue_id = $1`
)

func TestUsageMovedByTwoTransactionsAtOnceEndsInTheRightKey(t *testing.T) {
	db, a, issue := moved(t)
	tx, _ := open(t, db)
	if _, err := tx.Exec(context.Background(), moveRuntime, issue); err != nil {
		t.Fatal(err)
	}
	// It sees the old runtime, as the other sees the old project; then it waits, since both queue the old key.
	other := db.Connect(t)
	ended := make(chan error, 1)
	go func() {
		_, err := other.Exec(context.Background(), moveProject, issue)
		ended <- err
	}()
	labtest.UntilLocked(t, db.Conn, other.PgConn().PID())
	if err := tx.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	a.run()
	exact(t, db.Conn)
}

func TestUsageWrittenBesideAMoveIsRolledUpWhereItWasMovedTo(t *testing.T) {
	for _, hold := range []time.Duration{time.Hour, 0} {
		t.Run("hold "+hold.String(), func(t *testing.T) {
			db, a, issue := moved(t)
			a.opts.Walk.HorizonHold = hold
			early, _ := open(t, db) // its usage will be older than the move's transaction
			move, _ := open(t, db)
			if _, err := move.Exec(context.Background(), moveProject, issue); err != nil {
				t.Fatal(err)
			}
			if exec(t, db.Conn, useIssue, issue) != 1 {
				t.Fatal("nothing was used")
			}
			a.run()
			if _, err := early.Exec(context.Background(), useIssue+" offset 1", issue); err != nil {
				t.Fatal(err)
			}
			if err := early.Commit(context.Background()); err != nil {
				t.Fatal(err)
			}
			a.run()
			a.run()
			if err := move.Commit(context.Background()); err != nil {
				t.Fatal(err)
			}
			a.run()
			a.run()
			exact(t, db.Conn)
			a.owes()
		})
	}
}

// TestUsageCommittedBesideAYoungMoveIsRolledUpWhereItWasMovedTo has a transaction that is older than
// what the horizon trails by commit usage while a younger one moves it, without having seen it.
func TestUsageCommittedBesideAYoungMoveIsRolledUpWhereItWasMovedTo(t *testing.T) {
	for _, remembers := range []bool{true, false} {
		t.Run(fmt.Sprintf("remembers %t", remembers), func(t *testing.T) {
			db, a, issue := moved(t)
			if !remembers {
				a.opts.StateDir = "/dev/null/nowhere"
			}
			a.opts.HorizonDelay = 2 * time.Second
			early, started := open(t, db)
			if _, err := early.Exec(context.Background(), useIssue, issue); err != nil {
				t.Fatal(err)
			}
			labtest.UntilLater(t, db.Conn, started, a.opts.HorizonDelay)
			move, _ := open(t, db)
			if _, err := move.Exec(context.Background(), moveProject, issue); err != nil {
				t.Fatal(err)
			}
			if err := early.Commit(context.Background()); err != nil {
				t.Fatal(err)
			}
			a.run()
			if err := move.Commit(context.Background()); err != nil {
				t.Fatal(err)
			}
			a.run()
			exact(t, db.Conn)
			a.owes()
		})
	}
}

func TestUsageWrittenBesideAPreparedMoveIsRolledUpWhereItWasMovedTo(t *testing.T) {
	db, a, issue := moved(t)
	a.atOnce()
	move, _ := open(t, db)
	for _, sql := range []string{moveProject, useIssue} {
		if _, err := move.Exec(context.Background(), sql, issue); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := move.Exec(context.Background(), "prepare transaction 'move'"); err != nil {
		t.Fatal(err)
	}
	exec(t, db.Conn, useIssue+" offset 1", issue)
	a.run()
	exec(t, db.Conn, "commit prepared 'move'")
	a.run()
	exact(t, db.Conn)
	a.owes()
}

const useIssueAt = `insert into task_usage (task_id, provider, model, input_tokens, created_at, updated_at)
	select id, 'beside', 'm', 7, date_trunc('hour', now()) - interval '5 hours', now() - $2::interval
	from agent_task_queue where issue_id = $1 and runtime_id is not null order by id limit 1`

func TestMovesThatOverlapHoldTheWatermarkNoLongerThanTheHold(t *testing.T) {
	db, a, issue := moved(t)
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = now() - interval '3 hours'")
	a.opts.StateDir = t.TempDir()
	a.opts.Walk.HorizonHold = time.Hour
	move, _ := open(t, db)
	if _, err := move.Exec(context.Background(), moveProject, issue); err != nil {
		t.Fatal(err)
	}
	st := a.run()
	if age := get[time.Time](t, db.Conn, "select now()").Sub(st.Watermark); age > a.opts.Walk.HorizonHold+time.Minute {
		t.Fatalf("the watermark is held back for %s", age)
	}
	a.owes(ledger.OpenTransaction)
	exec(t, db.Conn, useIssueAt, issue, "30 minutes")
	if err := move.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	a.run()
	exact(t, db.Conn)
	a.owes()
}

func TestWhatIsOwedDoesNotGrowFromOneMoveToTheNext(t *testing.T) {
	db, a, issue := moved(t)
	a.opts.Walk.HorizonHold = 0
	first, started := open(t, db)
	if _, err := first.Exec(context.Background(), moveProject, issue); err != nil {
		t.Fatal(err)
	}
	a.run()
	next, _ := open(t, db)
	if _, err := next.Exec(context.Background(), "update agent_task_queue set runtime_id = null where false"); err != nil {
		t.Fatal(err)
	}
	a.run()
	if err := first.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	a.run()
	a.owes(ledger.OpenTransaction)
	if d := a.memory().Deferred[0]; d.From.Before(started) {
		t.Fatalf("owed from %s, which the transaction of %s has handed on", d.From, started)
	}
	if err := next.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	a.run()
	exact(t, db.Conn)
	a.owes()
}

// crowded makes an issue whose usage shares its hourly row with that of another issue, and returns both.
func crowded(t testing.TB) (db *labtest.DB, a *agent, issue, neighbour string) {
	t.Helper()
	db, a, issue = moved(t)
	neighbour = get[string](t, db.Conn, `with i as (insert into issue (id, workspace_id, project_id, title)
			select gen_random_uuid(), workspace_id, project_id, 'neighbour' from issue where id = $1 returning id),
		q as (insert into agent_task_queue (id, agent_id, runtime_id, issue_id)
			select gen_random_uuid(), q.agent_id, q.runtime_id, i.id from i, (
				select * from agent_task_queue where issue_id = $1 and runtime_id is not null order by id limit 1) q)
		select id::text from i`, issue)
	return db, a, issue, neighbour
}

func TestUsageCountedBeforeItsTimeIsTakenOutOfTheKeyThatItLeft(t *testing.T) {
	db, a, issue, neighbour := crowded(t)
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = now() - interval '3 hours'")
	exec(t, db.Conn, useIssueAt, neighbour, "2 hours")
	a.opts.StateDir = t.TempDir()
	move, _ := open(t, db)
	if _, err := move.Exec(context.Background(), moveProject, issue); err != nil {
		t.Fatal(err)
	}
	exec(t, db.Conn, useIssueAt, issue, "0 hours") // in no key that the move queues
	a.opts.HorizonDelay = time.Hour
	a.run() // comes to the neighbour's usage, and counts the other's with it
	if err := move.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	a.opts.HorizonDelay = time.Nanosecond
	a.run()
	exact(t, db.Conn)
}
