package rollup

import (
	"context"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/horizon"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/rollup/engine"
)

// settle rolls up again the deferred windows that have fallen due. False means that the budget ended first.
func (w *walk) settle(ctx context.Context, b budget, h horizon.Horizon) (bool, error) {
	if w.mem.store == nil {
		return true, nil
	}
	remembered, err := w.mem.load()
	if err != nil {
		return false, err
	}
	w.rep.st.Debts = len(remembered.Deferred)
	if h.Moving {
		return true, nil // what would be rolled up now may be moved unseen: later
	}
	due := ledger.FallenDue(remembered.Deferred, h.Open, w.rep.st.Watermark)
	for _, d := range due {
		if d.Moves && !d.Ended {
			if err := w.mem.change(func(m *ledger.Memory) { m.Widen(d, w.rep.st.Watermark) }); err != nil {
				return false, err
			}
		}
	}
	for _, d := range due {
		if settled, err := w.window(ctx, b, h, d); err != nil || !settled {
			return false, err
		}
	}
	return true, nil
}

// window rolls up again one deferred window that has fallen due.
func (w *walk) window(ctx context.Context, b budget, h horizon.Horizon, d ledger.Deferred) (bool, error) {
	// Beyond the horizon lies what transactions still open may write; the
	// walk comes to that by itself, unless others took the watermark there.
	end, whole := d.Until(h.At, w.rep.st.Watermark)
	if err := w.mem.deferAll(ledger.Again(d, h.Deferred), h.Now, nil); err != nil {
		return false, err
	}
	planner, err := w.write.engine.Plan(ctx, w.db.read, engine.Pass{Start: d.From, End: end}, time.Time{})
	if err != nil {
		return false, err
	}
	l := &leg{cursor: d.From, end: end, planner: planner, horizon: h, done: func(cursor time.Time, _ engine.Result) error {
		if whole && !cursor.Before(end) {
			return nil // settled below, with an entry in the log
		}
		return w.mem.change(func(m *ledger.Memory) { m.Settle(d, cursor) })
	}}
	arrived, err := w.walkLeg(ctx, b, l)
	if err != nil || !arrived || !whole {
		return arrived, err
	}
	if err := w.mem.change(func(m *ledger.Memory) { m.Settle(d, d.To) }); err != nil {
		return false, err
	}
	w.rep.log.Info("rolled up again what was owed", journal.DebtSettled.Attr(), journal.Reason(d.Description),
		journal.SliceFrom(d.From), journal.SliceTo(d.To))
	return true, nil
}
