// Package rollup takes task_usage_hourly from its watermark to the horizon, in
// slices that are each one short transaction. There is one loop, the walk; two
// engines know how to roll up one slice.
package rollup

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// Slice is a window of event time [From, To) and how to roll it up. An event's
// time is its usage row's updated_at, or created_at where that is NULL.
type Slice struct {
	From, To time.Time
	Pass     Pass
	Hours    []time.Time // the bucket hours to read, where they are known; nil: all that the slice touches
	History  bool        // whole hours of a pass over all of history, none of which was read before
}

// Pass is a stretch of event time that one process walks in order. Hours
// created in it are read when the walk comes to them, corrections made later
// included, up to End, the horizon when the pass began; so those corrections
// cost nothing when the walk comes to them in their turn.
type Pass struct {
	Start, End time.Time
}

// Result is what one slice did.
type Result struct {
	Written int64 // hourly rows inserted or changed
	Deleted int64 // hourly rows deleted
	Read    int64 // usage rows read; for the function engine, the events of the slice
	Drained int64 // queue rows worked off
}

func (r *Result) add(o Result) {
	r.Written += o.Written
	r.Deleted += o.Deleted
	r.Read += o.Read
	r.Drained += o.Drained
}

// Engine rolls up one slice within a transaction that holds lock 4246.
type Engine interface {
	// Name is set or function, as in the configuration.
	Name() string
	// Roll replaces the hourly rows of every key that has an event in the slice, at least.
	Roll(ctx context.Context, tx pgx.Tx, s Slice) (Result, error)
	// OneSnapshot says whether the transaction must be REPEATABLE READ.
	OneSnapshot() bool
}

// The earliest and the latest bucket hour a slice can name.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
)

// setEngine is our own set-based SQL: the cost of a slice follows the slice.
type setEngine struct {
	slice, history, historyEmpty, drainLock, drain string
}

func newSetEngine(costs bool) *setEngine {
	return &setEngine{
		slice:        statement("slice", costs),
		history:      statement("history", costs),
		historyEmpty: statement("history_empty", costs),
		drainLock:    statement("drain_lock", costs),
		drain:        statement("drain", costs),
	}
}

func (*setEngine) Name() string      { return "set" }
func (*setEngine) OneSnapshot() bool { return false }

func (e *setEngine) Roll(ctx context.Context, tx pgx.Tx, s Slice) (Result, error) {
	if s.History {
		return e.rollHistory(ctx, tx, s)
	}
	var r Result
	if err := tx.QueryRow(ctx, e.slice, s.From, s.To, s.Pass.Start, s.Hours).Scan(&r.Written, &r.Deleted, &r.Read); err != nil {
		return Result{}, fmt.Errorf("rolling up %s to %s: %w", stamp(s.From), stamp(s.To), err)
	}
	return r, nil
}

// rollHistory rolls up whole hours of a pass over all of history.
func (e *setEngine) rollHistory(ctx context.Context, tx pgx.Tx, s Slice) (r Result, err error) {
	from, to := s.From.Truncate(time.Hour), ceilHour(s.To)
	var memory string
	var filled bool
	if err = tx.QueryRow(ctx, statement("history_begin", false), from, to).Scan(&memory, &filled); err != nil {
		return Result{}, fmt.Errorf("looking at the hourly rows from %s to %s: %w", stamp(from), stamp(to), err)
	}
	sql := e.historyEmpty
	if filled {
		sql = e.history
	}
	if err = tx.QueryRow(ctx, sql, from, to).Scan(&r.Written, &r.Deleted, &r.Read); err != nil {
		return Result{}, fmt.Errorf("rolling up history from %s to %s: %w", stamp(s.From), stamp(s.To), err)
	}
	return r, nil
}

// Drain locks up to limit queue rows with a bucket hour in [from, to), works
// them off, and returns the hour of the last of them.
func (e *setEngine) Drain(ctx context.Context, tx pgx.Tx, from, to time.Time, limit int) (Result, time.Time, error) {
	rows, err := tx.Query(ctx, e.drainLock, limit, from, to)
	if err != nil {
		return Result{}, from, fmt.Errorf("locking queued invalidations: %w", err)
	}
	var ctids []string
	var ctid string
	last := from
	if _, err := pgx.ForEachRow(rows, []any{&ctid, &last}, func() error { ctids = append(ctids, ctid); return nil }); err != nil {
		return Result{}, from, fmt.Errorf("locking queued invalidations: %w", err)
	}
	if len(ctids) == 0 {
		return Result{}, from, nil
	}
	var r Result
	err = tx.QueryRow(ctx, e.drain, ctids).Scan(&r.Written, &r.Deleted, &r.Drained, &r.Read)
	if err != nil {
		return Result{}, from, fmt.Errorf("working off queued invalidations: %w", err)
	}
	return r, last, nil
}

// functionEngine calls the database's own window function, whatever it is. That
// deletes the hourly rows of every queued key without usage, so queue rows of
// agents that are gone are dropped before.
type functionEngine struct{}

func (functionEngine) Name() string { return "function" }

// OneSnapshot: the function reads the queue and deletes from it in two
// statements. In one snapshot, what is queued in between stays queued.
func (functionEngine) OneSnapshot() bool { return true }

func (functionEngine) Roll(ctx context.Context, tx pgx.Tx, s Slice) (Result, error) {
	var r Result
	var dropped bool
	if err := tx.QueryRow(ctx, statement("drop_kept", false), s.To).Scan(&dropped); err != nil {
		return Result{}, fmt.Errorf("dropping the queued keys of deleted agents: %w", err)
	}
	if !dropped {
		return Result{}, fmt.Errorf("dropping the queued keys of deleted agents: another transaction has locked one: %w", errLockTaken)
	}
	err := tx.QueryRow(ctx, "select rollup_task_usage_hourly_window($1, $2)", s.From, s.To).Scan(&r.Written)
	if err != nil {
		return Result{}, fmt.Errorf("rolling up %s to %s: %w", stamp(s.From), stamp(s.To), err)
	}
	return r, nil
}

// Choose returns the engine for a pipeline: wanted is auto, set or function.
// The reason says in a few words why it is not the set engine; it is empty
// where it is, or where the function was asked for.
func Choose(wanted string, p *pipeline.Pipeline) (Engine, string, error) {
	set := newSetEngine(p.HasCosts())
	switch wanted {
	case "function":
		return functionEngine{}, "", nil
	case "set":
		// Whoever asks for set vouches for the functions' texts, but not for columns.
		if len(p.Obstacles) > 0 {
			return functionEngine{}, strings.Join(p.Obstacles, "; "), nil
		}
		return set, "", nil
	case "auto", "":
		if reasons := append(append([]string{}, p.Obstacles...), p.Unverified...); len(reasons) > 0 {
			return functionEngine{}, strings.Join(reasons, "; "), nil
		}
		return set, "", nil
	}
	return nil, "", problem.New(problem.Config, "use auto, set or function", "unknown engine %q", wanted)
}

// ceilHour returns the first whole hour, in UTC, at or after t.
func ceilHour(t time.Time) time.Time { return t.Add(time.Hour - 1).Truncate(time.Hour) }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999999Z") }
