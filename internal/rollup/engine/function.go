package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/instant"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// functionFirstSize is small: what the database's function takes for a row goes by
// its history, and it holds lock 4246 meanwhile.
const functionFirstSize = 500

// function calls the database's own window function, whatever it is. That
// deletes the hourly rows of every queued key without usage, so queue rows of
// agents that are gone are dropped before.
type function struct{}

func (function) Name() string { return "function" }

func (function) Reconciles() bool { return false }

func (function) FirstSize() int { return functionFirstSize }

// Transaction: the function reads the queue and deletes from it in two
// statements. In one snapshot, what is queued in between stays queued.
func (function) Transaction(base pg.TxSettings) pg.TxSettings {
	base.RepeatableRead = true
	return base
}

func (function) Roll(ctx context.Context, tx pgx.Tx, s Slice) (Result, error) {
	r := Result{Read: s.Events}
	var dropped bool
	if err := tx.QueryRow(ctx, statements.Text("drop_kept", nil), s.To).Scan(&dropped); err != nil {
		return Result{}, fmt.Errorf("dropping the queued keys of deleted agents: %w", err)
	}
	if !dropped {
		return Result{}, fmt.Errorf("dropping the queued keys of deleted agents: another transaction has locked one: %w", pg.ErrLockTaken)
	}
	err := tx.QueryRow(ctx, "select rollup_task_usage_hourly_window($1, $2)", s.From, s.To).Scan(&r.Written)
	if err != nil {
		return Result{}, fmt.Errorf("rolling up %s to %s: %w", instant.Stamp(s.From), instant.Stamp(s.To), err)
	}
	return r, nil
}

func (function) CountMonths(ctx context.Context, tx pgx.Tx, _, from, to time.Time) ([]Month, error) {
	return months(ctx, tx, statements.Text("count_months_function", nil), from, to)
}

func (function) TryPrivileges(ctx context.Context, tx pgx.Tx) error {
	for _, name := range []string{"rights", "rights_function"} {
		if _, err := tx.Exec(ctx, statements.Text(name, nil)); err != nil {
			return err
		}
	}
	return nil
}

// functionPlanner ends slices by the number of events.
type functionPlanner struct{ pass Pass }

func (function) Plan(_ context.Context, _ Read, pass Pass, _ time.Time) (Planner, error) {
	return functionPlanner{pass}, nil
}

func (p functionPlanner) StartAt(at time.Time) Planner {
	p.pass.Start = at
	return p
}

func (p functionPlanner) Next(ctx context.Context, tx pgx.Tx, cursor, end time.Time, size int) (Plan, error) {
	e, err := planEvents(ctx, tx, cursor, end, p.pass.Start, size, true)
	if err != nil {
		return Plan{}, err
	}
	if e.crowded {
		e.to = e.first.Add(time.Microsecond) // the function cannot split an instant
	}
	if e.full { // the function does not say how much it has read
		if err := tx.QueryRow(ctx, statements.Text("count_events", nil), cursor, e.to).Scan(&e.events); err != nil {
			return Plan{}, fmt.Errorf("counting the events of a slice: %w", err)
		}
	}
	return single(p.pass, cursor, e.to, e.full, e.events), nil
}

// functionQueue is all of the queue that is older than the horizon, at once: the function cannot split it.
type functionQueue struct {
	horizon time.Time
	done    bool
}

func (function) Queue(horizon, oldest time.Time, _ time.Duration) Queue {
	return &functionQueue{horizon: horizon, done: !oldest.Before(horizon)}
}

// Transaction: a batch may be lost together with the deletion of its queue rows.
func (q *functionQueue) Transaction(base pg.TxSettings) pg.TxSettings {
	base.AsyncCommit = true
	return function{}.Transaction(base)
}

func (q *functionQueue) Next(context.Context, pgx.Tx, int) (bool, error) { return !q.done, nil }

// Drain counts what the function takes, which does not say so: in the transaction's one snapshot it is the same.
func (q *functionQueue) Drain(ctx context.Context, tx pgx.Tx) (Result, error) {
	var queued int64
	if err := tx.QueryRow(ctx, statements.Text("count_queue", nil), q.horizon).Scan(&queued); err != nil {
		return Result{}, fmt.Errorf("counting queued invalidations: %w", err)
	}
	r, err := function{}.RollQueue(ctx, tx, q.horizon, 0)
	r.Drained = queued
	return r, err
}

func (q *functionQueue) Drained(Result, time.Duration) { q.done = true }

func (q *functionQueue) Shrink() bool { return false }

// RollQueue: an empty window does nothing, so the function gets the microsecond before the given time.
func (function) RollQueue(ctx context.Context, tx pgx.Tx, before time.Time, _ int) (Result, error) {
	return function{}.Roll(ctx, tx, Slice{From: before.Add(-time.Microsecond), To: before})
}
