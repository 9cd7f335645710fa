package rollup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// queueBound is how far the queue is counted; beyond it, it is just long.
const queueBound = 1_000_000

// largeQueue is how many keys make an entry in the journal.
const largeQueue = 100_000

// Bounds on the queue rows locked in one slice: others that invalidate the
// same keys wait for the slice.
const (
	firstKeys = 2_000
	ceilKeys  = 50_000
)

// drain works off the invalidation queue, whatever the watermark: others prune
// it after seven days, processed or not. False means that the budget ended first.
func (w *Walker) drain(ctx context.Context) (bool, error) {
	n, oldest, err := w.queueSize(ctx)
	if err != nil || n == 0 {
		return true, err
	}
	w.phase(report.Draining)
	if n >= largeQueue {
		w.log.Warn(fmt.Sprintf("%d keys are queued for recomputing, the oldest since %s", n, stamp(oldest)), journal.QueueLarge.Attr())
	}
	set, ok := w.engine.(*setEngine)
	if !ok {
		return true, w.drainByFunction(ctx, oldest)
	}
	keys, from := firstKeys, earliest
	for {
		if w.outOfTime() {
			return false, nil
		}
		var end, first *time.Time
		err := w.reading(ctx, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, statement("plan_drain", false), from, keys, w.size).Scan(&end, &first)
		})
		if err != nil {
			return false, fmt.Errorf("planning a slice of the queue: %w", w.explain(err))
		}
		if first == nil {
			return true, nil
		}
		to := latest
		if end != nil {
			to = *end
		}
		if err := w.hold(ctx); err != nil {
			return false, err
		}
		r, next, took, err := w.drainSlice(ctx, set, from, to, keys)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return false, err
		case pg.SQLState(err) == pg.StateLockNotAvailable:
			if err := w.busy(ctx, err); err != nil {
				return false, err
			}
			continue
		case pg.SQLState(err) == pg.StateQueryCanceled && keys > 1:
			keys, w.size = max(1, keys/4), max(floorSize, w.size/2)
			continue
		default:
			return false, w.explain(err)
		}
		switch {
		case r.Drained == int64(keys):
			from = next // this hour may have more
		case end != nil:
			from = *end
		default:
			return true, nil
		}
		keys = min(ceilKeys, max(1, int(float64(keys)*min(2, float64(w.opts.Walk.SliceTarget)/float64(took+1)))))
	}
}

func (w *Walker) queueSize(ctx context.Context) (n int64, oldest time.Time, err error) {
	err = w.reading(ctx, func(tx pgx.Tx) error {
		var at *time.Time
		if err := tx.QueryRow(ctx, statement("queue_size", false), queueBound).Scan(&n, &at); err != nil {
			return fmt.Errorf("reading the queue: %w", err)
		}
		if at != nil {
			oldest = *at
		}
		return nil
	})
	w.st.Queue = n
	if err != nil {
		err = w.explain(err)
	}
	return n, oldest, err
}

// drainSlice works off some queue rows in one transaction.
func (w *Walker) drainSlice(ctx context.Context, set *setEngine, from, to time.Time, keys int) (r Result, next time.Time, took time.Duration, err error) {
	err = w.with(ctx, func(conn *pgx.Conn) error {
		settings := w.settings()
		settings.AsyncCommit = true // lost together with the deletion of the queue rows
		settings.NoSeqScan = true   // the locked rows lie scattered in a queue of any length
		var locked time.Time
		err := pg.InTx(ctx, conn, settings, func(tx pgx.Tx) error {
			err := pg.Lock(ctx, tx)
			if err != nil {
				return err
			}
			locked = time.Now()
			if r, next, err = set.Drain(ctx, tx, from, to, keys); err != nil {
				return err
			}
			return w.pipe.Recheck(ctx, tx)
		})
		took = time.Since(locked)
		return err
	})
	if err != nil {
		return Result{}, from, 0, err
	}
	w.worked = took
	w.unblocked()
	w.count(r, took)
	w.log.Debug("worked off a slice of the queue", journal.SliceDone.Attr(), journal.Reason("queue"),
		journal.Rows(r.Written+r.Deleted), journal.Duration(took), journal.Engine(w.engine.Name()))
	return r, next, took, nil
}

// count adds one committed slice to the state.
func (w *Walker) count(r Result, took time.Duration) {
	w.st.Slices++
	w.st.Rows += r.Written + r.Deleted
	w.st.Read += r.Read
	w.st.Drained += r.Drained
	w.st.SliceDuration = took
	w.st.LongestHold = max(w.st.LongestHold, took)
	w.st.Queue = max(0, w.st.Queue-r.Drained)
	w.observe()
}

// drainByFunction has the database's function work off what was queued before
// the horizon: all of it at once, since the function cannot split it. An empty
// window does nothing, so it gets the microsecond before the horizon.
func (w *Walker) drainByFunction(ctx context.Context, oldest time.Time) error {
	to := w.horizon.At
	if !oldest.Before(to) {
		return nil
	}
	from := to.Add(-time.Microsecond)
	l := &leg{cursor: from, end: to, queue: true, planner: planner{pass: Pass{Start: from, End: to}}}
	_, err := w.walk(ctx, l)
	if err != nil {
		return err
	}
	_, _, err = w.queueSize(ctx)
	return err
}
