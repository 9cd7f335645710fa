package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/sizing"
)

// Bounds on the queue rows locked in one batch: others that invalidate the
// same keys wait for it.
const (
	firstKeys = 2_000
	ceilKeys  = 50_000
)

// The earliest and the latest bucket hour that a queue row can name.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
)

// setQueue goes through the queue by bucket hour.
type setQueue struct {
	set      *set
	keys     sizing.Size
	from, to time.Time // bucket hours of the batch
	ends     bool      // the batch goes to the end of the queue
	last     time.Time // bucket hour of the batch's last row
	done     bool
}

func (e *set) Queue(_, _ time.Time, target time.Duration) Queue {
	return &setQueue{set: e, keys: sizing.New(firstKeys, 1, ceilKeys, target), from: earliest}
}

func (q *setQueue) Transaction(base pg.TxSettings) pg.TxSettings {
	base.AsyncCommit = true // lost together with the deletion of the queue rows
	base.NoSeqScan = true   // the locked rows lie scattered in a queue of any length
	return base
}

func (q *setQueue) Next(ctx context.Context, tx pgx.Tx, size int) (bool, error) {
	if q.done {
		return false, nil
	}
	var end, first *time.Time
	if err := tx.QueryRow(ctx, statements.Text("plan_drain", nil), q.from, q.keys.Rows(), size).Scan(&end, &first); err != nil {
		return false, fmt.Errorf("planning a slice of the queue: %w", err)
	}
	if q.ends = end == nil; q.ends {
		q.to = latest
	} else {
		q.to = *end
	}
	return first != nil, nil
}

func (q *setQueue) Drain(ctx context.Context, tx pgx.Tx) (r Result, err error) {
	r, q.last, err = q.set.drainHours(ctx, tx, q.from, q.to, q.keys.Rows())
	return r, err
}

func (q *setQueue) Drained(r Result, took time.Duration) {
	switch {
	case r.Drained == int64(q.keys.Rows()):
		q.from = q.last // this hour may have more
	case q.ends:
		q.done = true
	default:
		q.from = q.to
	}
	q.keys.Took(took, true)
}

func (q *setQueue) Shrink() bool { return q.keys.Cut(4) }

func (e *set) RollQueue(ctx context.Context, tx pgx.Tx, _ time.Time, limit int) (Result, error) {
	r, _, err := e.drainHours(ctx, tx, earliest, latest, limit)
	return r, err
}

// drainHours locks up to limit queue rows with a bucket hour in [from, to), works
// them off, and returns the hour of the last of them.
func (e *set) drainHours(ctx context.Context, tx pgx.Tx, from, to time.Time, limit int) (Result, time.Time, error) {
	rows, err := tx.Query(ctx, statements.Text("drain_lock", nil), limit, from, to)
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
	if err := tx.QueryRow(ctx, e.drain, ctids).Scan(&r.Written, &r.Deleted, &r.Drained, &r.Read); err != nil {
		return Result{}, from, fmt.Errorf("working off queued invalidations: %w", err)
	}
	return r, last, nil
}
