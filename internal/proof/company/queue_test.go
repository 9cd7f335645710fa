package company_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// TestADeletionIsNeverBehindMoreThanOneSlice holds lock 4246 until every agent
// and a deletion wait, and looks who is before the deletion: the server serves
// them in their order.
func TestADeletionIsNeverBehindMoreThanOneSlice(t *testing.T) {
	for _, engine := range []string{"set", "function"} {
		t.Run(engine, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			if _, err := lab.Seed(t.Context(), db.Conn, lab.Typical(72, 1000)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := &company{t: t, db: db, ctx: ctx, longest: map[string]time.Duration{}, times: map[string]int{}, lockTimeout: time.Minute}
			dirs := []string{t.TempDir(), t.TempDir()}
			for _, dir := range dirs {
				c.running.Go(func() { c.repeat("tick", 0, func() { c.run(dir, engine, ctx) }) })
			}
			c.running.Go(func() { c.repeat("backfill", 0, func() { c.backfill(dirs[0], engine) }) })
			c.running.Go(func() { c.sql("database's tick", "select rollup_task_usage_hourly()", 20*time.Millisecond) })
			for range 5 {
				c.deletionWaits(3)
			}
			cancel()
			c.running.Wait()
			t.Logf("a deletion waited for at most %s once the lock was let go of", c.longest["wait of a deletion"])
			c.settled(dirs, []string{engine, engine})
		})
	}
}

// deletionWaits has a deletion queue behind all agents, and demands that at
// most one of them is before it.
func (c *company) deletionWaits(agents int) {
	c.t.Helper()
	holder, deletion := c.db.Connect(c.t), c.db.Connect(c.t)
	defer holder.Close(context.Background())
	defer deletion.Close(context.Background())
	for _, sql := range []string{"begin", "select pg_advisory_xact_lock(4246)"} {
		if _, err := holder.Exec(c.t.Context(), sql); err != nil {
			c.t.Fatal(err)
		}
	}
	const waiting = "select count(*) from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory' and not l.granted and a.datname = current_database() and a.application_name like 'multica-rollup/%'"
	c.await("every agent waits", func() error {
		if n := c.count(waiting); n < agents {
			return fmt.Errorf("%d agents wait", n)
		}
		return nil
	})
	if n := c.count(waiting + " and l.objsubid = 1"); n > 1 {
		c.t.Errorf("%d agents wait for lock 4246 itself, before any deletion", n)
	}
	got := make(chan error, 1)
	go func() {
		_, err := deletion.Exec(context.Background(), "begin; select pg_advisory_xact_lock(4246); commit")
		got <- err
	}()
	c.await("the deletion waits", func() error {
		list, err := pg.LockSessions(context.Background(), c.db.Conn)
		if err != nil {
			return err
		}
		for _, s := range list {
			if !s.Granted && s.PID == int32(deletion.PgConn().PID()) {
				return nil
			}
		}
		return fmt.Errorf("it is not among %v", list)
	})
	if _, err := holder.Exec(c.t.Context(), "rollback"); err != nil {
		c.t.Fatal(err)
	}
	free := time.Now()
	if err := <-got; err != nil {
		c.t.Fatal(err)
	}
	c.note("wait of a deletion", time.Since(free))
}

func (c *company) count(sql string) (n int) {
	c.t.Helper()
	if err := c.db.Conn.QueryRow(context.Background(), sql, pgx.QueryExecModeSimpleProtocol).Scan(&n); err != nil {
		c.t.Fatal(err)
	}
	return n
}

func (c *company) await(what string, fn func() error) {
	c.t.Helper()
	for deadline := time.Now().Add(labtest.Guard); ; time.Sleep(20 * time.Millisecond) {
		err := fn()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("waiting until %s: %v", what, err)
		}
	}
}
