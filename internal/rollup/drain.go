package rollup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/instant"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup/engine"
)

// queueBound is how far the queue is counted; beyond it, it is just long.
const queueBound = 1_000_000

// largeQueue is how many keys make an entry in the journal.
const largeQueue = 100_000

// drain works off the invalidation queue, whatever the watermark: others prune
// it after seven days, processed or not. False means that the budget ended first.
func (w *walk) drain(ctx context.Context, b budget, horizon time.Time) (bool, error) {
	oldest, err := w.queued(ctx)
	if err != nil || w.rep.st.Queue == 0 {
		return true, err
	}
	w.rep.phase(report.Draining)
	if n := w.rep.st.Queue; n >= largeQueue {
		w.rep.log.Warn(fmt.Sprintf("%d keys are queued for recomputing, the oldest since %s", n, instant.Stamp(oldest)), journal.QueueLarge.Attr())
	}
	queue := w.write.engine.Queue(horizon, oldest, w.db.walk.SliceTarget)
	for {
		if b.spent() {
			return false, nil
		}
		var more bool
		err := w.db.read(ctx, func(tx pgx.Tx) (err error) {
			more, err = queue.Next(ctx, tx, w.size.Rows())
			return err
		})
		if err != nil || !more {
			return true, w.db.explain(err)
		}
		if err := w.batch(ctx, b, queue); errors.Is(err, errOutOfTime) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
}

// batch works off a planned batch of the queue, or makes the next one smaller where it took too long.
func (w *walk) batch(ctx context.Context, b budget, queue engine.Queue) error {
	var did committed
	err := w.wait.retry(ctx, b, func() (err error) {
		if err := w.throttler.wait(ctx); err != nil {
			return err
		}
		did, err = w.write.batch(ctx, queue)
		return err
	})
	switch {
	case err == nil:
	case ctx.Err() == nil && pg.SQLState(err) == pg.StateQueryCanceled:
		if queue.Shrink() {
			w.size.Cut(2)
			return nil
		}
		return problem.Wrap(err, problem.Failed, "raise walk.statement_timeout in the configuration, or look for what slows the database down",
			"processing the invalidation queue does not end within %s, and it cannot be cut any smaller", w.db.walk.StatementTimeout)
	default:
		return err
	}
	w.throttler.worked = did.held
	w.rep.count(did.Result, did.held)
	queue.Drained(did.Result, did.held)
	w.rep.log.Debug("worked off a slice of the queue", journal.SliceDone.Attr(), journal.Reason("queue"),
		journal.Rows(did.Written+did.Deleted), journal.Duration(did.held), journal.Engine(w.write.engine.Name()))
	return nil
}

// queued counts the queue, up to its bound, into the state, and returns when its oldest row was queued.
func (w *walk) queued(ctx context.Context) (oldest time.Time, err error) {
	err = w.db.read(ctx, func(tx pgx.Tx) error {
		var at *time.Time
		if err := tx.QueryRow(ctx, statement("queue_size"), queueBound).Scan(&w.rep.st.Queue, &at); err != nil {
			return fmt.Errorf("reading the queue: %w", err)
		}
		if at != nil {
			oldest = *at
		}
		return nil
	})
	return oldest, w.db.explain(err)
}
