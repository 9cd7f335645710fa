package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/instant"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
)

// setFirstSize is what a first slice aims at: well below what two seconds of most servers are good for.
const setFirstSize = 20_000

// set is our own set-based SQL: the cost of a slice follows the slice.
type set struct {
	slice, history, historyEmpty, drain string
}

func newSet(columns pipeline.Columns) *set {
	return &set{
		slice:        statements.Text("slice", columns),
		history:      statements.Text("history", columns),
		historyEmpty: statements.Text("history_empty", columns),
		drain:        statements.Text("drain", columns),
	}
}

func (*set) Name() string { return "set" }

func (*set) Reconciles() bool { return true }

func (*set) FirstSize() int { return setFirstSize }

// Transaction: every statement is right by itself, so READ COMMITTED does, and waits for the lock in its own transaction.
func (*set) Transaction(base pg.TxSettings) pg.TxSettings { return base }

func (e *set) Roll(ctx context.Context, tx pgx.Tx, s Slice) (Result, error) {
	if s.History {
		return e.rollHistory(ctx, tx, s)
	}
	var r Result
	if err := tx.QueryRow(ctx, e.slice, s.From, s.To, s.Pass.Start, s.Hours).Scan(&r.Written, &r.Deleted, &r.Read); err != nil {
		return Result{}, fmt.Errorf("rolling up %s to %s: %w", instant.Stamp(s.From), instant.Stamp(s.To), err)
	}
	return r, nil
}

// rollHistory rolls up whole hours of a pass over all of history.
func (e *set) rollHistory(ctx context.Context, tx pgx.Tx, s Slice) (r Result, err error) {
	from, to := s.From.Truncate(time.Hour), ceilHour(s.To)
	var memory string
	var filled bool
	if err = tx.QueryRow(ctx, statements.Text("history_begin", nil), from, to).Scan(&memory, &filled); err != nil {
		return Result{}, fmt.Errorf("looking at the hourly rows from %s to %s: %w", instant.Stamp(from), instant.Stamp(to), err)
	}
	sql := e.historyEmpty
	if filled {
		sql = e.history
	}
	if err = tx.QueryRow(ctx, sql, from, to).Scan(&r.Written, &r.Deleted, &r.Read); err != nil {
		return Result{}, fmt.Errorf("rolling up history from %s to %s: %w", instant.Stamp(s.From), instant.Stamp(s.To), err)
	}
	return r, nil
}

func (*set) CountMonths(ctx context.Context, tx pgx.Tx, start, from, to time.Time) ([]Month, error) {
	return months(ctx, tx, statements.Text("count_months", nil), from, to, start)
}

func months(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]Month, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Month])
}

func (*set) TryPrivileges(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, statements.Text("rights", nil))
	return err
}
