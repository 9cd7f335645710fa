// Package company_test has several agents, on hosts of their own, work on one
// database at the same time, beside backfills, the database's own ticks, a
// migration hook that stamps the watermark, deletions of workspaces, and an
// application that goes on writing. In the end there must be no difference, and
// in between nobody may have waited for long.
//
// MULTICA_PROOF_COMPANY says for how long (6s each).
package company_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/proof/witness"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// patience is what a workspace's deletion may wait for lock 4246: it gives up
// after ten seconds.
const patience = 5 * time.Second

// settle is how far the horizon trails the clock here: longer than a session
// may take to show the transaction that it began, on a busy machine.
const settle = 2 * time.Second

// company is who works on one database.
type company struct {
	t       *testing.T
	db      *labtest.DB
	ctx     context.Context
	running sync.WaitGroup
	lock    witness.Witness
	// lockTimeout is the agents' own, where it is not the default.
	lockTimeout time.Duration

	mu      sync.Mutex
	longest map[string]time.Duration
	times   map[string]int
}

func TestAgentsInCompanyEndExactAndKeepNobodyWaiting(t *testing.T) {
	length := 6 * time.Second
	if text := os.Getenv("MULTICA_PROOF_COMPANY"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("MULTICA_PROOF_COMPANY: %v", err)
		}
	}
	for _, engines := range [][]string{{"set", "set"}, {"function", "function"}, {"set", "function"}} {
		t.Run(fmt.Sprint(engines), func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			if _, err := lab.Seed(t.Context(), db.Conn, lab.Typical(71, 3000)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context()) // cancelled, as by SIGTERM
			defer cancel()
			c := &company{t: t, db: db, ctx: ctx, longest: map[string]time.Duration{}, times: map[string]int{}}
			dirs := []string{t.TempDir(), t.TempDir()}
			for i, dir := range dirs { // so that each has something to compare with
				c.run(dir, engines[i], context.Background())
			}
			defer time.AfterFunc(length, cancel).Stop() // however long those took
			c.running.Go(func() {
				if _, err := lab.Load(ctx, db.DSN, lab.LoadOptions{Rate: 150, LongTransaction: 3 * time.Second}); err != nil {
					t.Errorf("load: %v", err)
				}
			})
			for i, dir := range dirs {
				c.running.Go(func() { c.repeat("tick", 100*time.Millisecond, func() { c.run(dir, engines[i], ctx) }) })
			}
			c.running.Go(func() { c.repeat("backfill", 100*time.Millisecond, func() { c.backfill(dirs[0], engines[0]) }) })
			c.running.Go(func() { c.sql("database's tick", "select rollup_task_usage_hourly()", 50*time.Millisecond) })
			c.running.Go(func() {
				c.sql("hook's stamp", "update task_usage_hourly_rollup_state set watermark_at = greatest(watermark_at, now() - interval '1 second')", 900*time.Millisecond)
			})
			c.running.Go(func() {
				if err := c.lock.Delete(ctx, db.DSN, 50*time.Millisecond); err != nil {
					t.Error(err)
				}
			})
			c.running.Go(func() {
				if err := c.lock.Look(ctx, db.DSN); err != nil {
					t.Error(err)
				}
			})
			c.running.Wait()
			for what, n := range c.times {
				t.Logf("%-20s %4d times, longest %s", what, n, c.longest[what].Round(time.Millisecond))
			}
			for _, line := range c.lock.Account() {
				t.Log(line)
			}
			if wait, _ := c.lock.LongestWait(); wait.Took() > patience || wait.Err != nil {
				t.Errorf("the deletion of a workspace waited for %s, %v", wait.Took(), wait.Err)
			}
			if err := c.lock.Verdict(); err != nil {
				t.Error(err)
			}
			c.settled(dirs, engines)
		})
	}
}

func (c *company) options(command, dir, engine string, trail time.Duration) rollup.Options {
	walk := config.Defaults().Walk
	walk.LockTimeout = cmp.Or(c.lockTimeout, walk.LockTimeout)
	return rollup.Options{
		Command: command, Engine: engine, Known: pipeline.Shipped(), Walk: walk, HorizonDelay: trail, FixedSize: 200,
		Reconnect: 5 * time.Second, LockPatience: 5 * time.Second, StateDir: dir, Log: slog.New(slog.DiscardHandler),
	}
}

func (c *company) open(o rollup.Options) *rollup.Walker {
	c.t.Helper()
	connector, err := pg.NewConnector(c.db.DSN, "multica-rollup/"+o.Command)
	if err != nil {
		c.t.Error(err)
		return nil
	}
	w := rollup.New(connector, o)
	if err := w.Open(context.Background()); err != nil {
		c.t.Errorf("opening: %v", err)
		return nil
	}
	return w
}

// run makes a tick; the walk's own hold is short here, so that transactions are owed.
func (c *company) run(dir, engine string, ctx context.Context) {
	o := c.options("run", dir, engine, settle)
	o.Walk.HorizonHold = time.Second
	if w := c.open(o); w != nil {
		defer w.Close(context.Background())
		if err := w.Run(ctx); err != nil {
			c.t.Errorf("tick of the %s engine: %v", engine, err)
		}
		c.note("hold by a "+engine+" slice", w.State().LongestHold)
	}
}

func (c *company) backfill(dir, engine string) {
	w := c.open(c.options("backfill", dir, engine, settle))
	if w == nil {
		return
	}
	defer w.Close(context.Background())
	plan, err := w.PlanBackfill(c.ctx, rollup.BackfillOptions{})
	if err == nil {
		err = w.Backfill(c.ctx, plan, rollup.BackfillOptions{})
	}
	if err != nil && !errors.Is(err, context.Canceled) && c.ctx.Err() == nil && problem.KindOf(err) != problem.TryAgain {
		c.t.Errorf("backfill: %v", err)
	}
}

// repeat does something until the time is over.
func (c *company) repeat(what string, pause time.Duration, do func()) {
	for c.ctx.Err() == nil {
		began := time.Now()
		do()
		c.note(what, time.Since(began))
		select {
		case <-c.ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (c *company) note(what string, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times[what]++
	c.longest[what] = max(c.longest[what], took)
}

// sql repeats statements on a connection of their own.
func (c *company) sql(what, sql string, pause time.Duration) {
	conn, err := pgx.Connect(context.Background(), c.db.DSN)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer conn.Close(context.Background())
	c.repeat(what, pause, func() {
		_, err := conn.Exec(context.Background(), sql)
		switch pg.SQLState(err) {
		case pg.StateDeadlockDetected, pg.StateSerializationFailure: // somebody has to give way
			return
		}
		if err != nil {
			c.t.Errorf("%s: %v", what, err)
		}
	})
}

// settled has every agent get current, and asks the oracle.
func (c *company) settled(dirs, engines []string) {
	c.t.Helper()
	for i, dir := range dirs {
		for range 3 {
			o := c.options("run", dir, engines[i], time.Microsecond)
			w := c.open(o)
			if w == nil {
				return
			}
			if err := w.Run(context.Background()); err != nil || w.State().Outcome != report.Current {
				c.t.Errorf("outcome %q, %v; want current", w.State().Outcome, err)
			}
			w.Close(context.Background())
		}
	}
	diffs, err := lab.Oracle(context.Background(), c.db.Conn)
	if err != nil {
		c.t.Fatal(err)
	}
	for i, d := range diffs {
		if i < 5 {
			c.t.Log(d)
		}
	}
	if len(diffs) > 0 {
		c.t.Errorf("%d hourly rows differ from the raw usage", len(diffs))
	}
}
