package verify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

const (
	// queueBatch is how many keys are queued in one transaction.
	queueBatch = 2_000
	// queuePause is before a batch that lost to a concurrent transaction is repeated.
	queuePause = 300 * time.Millisecond
	// latestDating keeps queued keys well off the seven days after which others prune the queue.
	latestDating = 5 * 24 * time.Hour
)

// dating is how far enqueued_at of a queued key is dated back. The database's
// window function takes only what was queued before the end of its window, and
// that never lies after the horizon, which trails the clock by five minutes and
// may be held back further. A key that a recount found wrong has no such reason
// to wait: what it is computed from is committed, and what is not committed yet
// queues it, or dates it, anew. The set engine asks for no date.
func (v *Verifier) dating() time.Duration {
	return min(latestDating, 2*max(0, v.opts.Walk.HorizonHold)+15*time.Minute)
}

// queue puts wrong keys on the invalidation queue.
func (rc *recount) queue(ctx context.Context, wrong []Difference) error {
	v := rc.v
	if rc.r.Repair == nil {
		rc.r.Repair = &Repair{}
	}
	for batch := range slices.Chunk(wrong, queueBatch) {
		keys := make([]Key, len(batch))
		for i, d := range batch {
			keys[i] = d.Key
		}
		hours, texts := arrays(keys)
		var queued int64
		err := v.scan.waiting(ctx, v.opts.LockPatience, queuePause, func() error {
			return v.scan.inTx(ctx, v.settings(), func(tx pgx.Tx) error {
				tag, err := tx.Exec(ctx, statement("enqueue"), hours,
					texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], v.dating().Seconds())
				queued = tag.RowsAffected()
				return err
			})
		})
		if err != nil {
			return v.explain(fmt.Errorf("queueing wrong keys: %w", err))
		}
		rc.r.Repair.Queued += queued
	}
	return nil
}

// repair has what was queued rolled up by a tick, and recounts those hours.
func (rc *recount) repair(ctx context.Context) error {
	v, r := rc.v, rc.r
	if r.Repair == nil {
		return nil
	}
	v.opts.Log.Info(fmt.Sprintf("%s wrong keys were queued to be rolled up again", report.Count(r.Repair.Queued)),
		journal.VerifyRepairQueued.Attr(), journal.Rows(r.Repair.Queued), journal.Database(v.scan.connector.Target()))
	w := rollup.New(v.scan.connector, rollup.Options{
		Command: "verify", Engine: v.opts.Engine, Known: v.opts.Known, Walk: v.opts.Walk,
		Reconnect: v.opts.Reconnect, LockPatience: v.opts.LockPatience,
		StateDir: v.opts.StateDir, Log: v.opts.Log, Observe: v.opts.Observe,
	})
	defer w.Close(ctx)
	if err := w.Open(ctx); err != nil {
		return err
	}
	if err := w.Run(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	st := w.State()
	r.Repair.Rows, r.Repair.Holder, r.Watermark = st.Rows, st.Holder, st.Watermark
	v.phase(Recounting)
	for _, g := range rc.queued {
		err := v.scan.look(ctx, g.spans, func(c *chunk) error {
			for _, d := range c.wrong {
				r.Repair.Left.add(d.Kind)
			}
			r.Repair.Still += c.queued
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
