package rollup

import (
	"context"
	"log/slog"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// remember changes the memory, where there is one.
func (w *Walker) remember(change func(*ledger.Memory)) error {
	if w.store == nil {
		return nil
	}
	err := w.store.Update(func(m *ledger.Memory) {
		change(m)
		w.st.Debts = len(m.Deferred)
	})
	if err != nil {
		return problem.Wrap(err, problem.Failed, "see that "+w.store.Dir()+" can be written and has room", "%v", err)
	}
	return nil
}

// owe remembers debts together with another change, nil for none.
func (w *Walker) owe(owed []ledger.Deferred, change func(*ledger.Memory)) error {
	if len(owed) == 0 && change == nil {
		return nil
	}
	var fresh []ledger.Deferred
	err := w.remember(func(m *ledger.Memory) {
		if change != nil {
			change(m)
		}
		fresh = m.Defer(owed...)
	})
	if err != nil {
		return err
	}
	for _, d := range fresh {
		level := slog.LevelWarn
		if w.horizon.Now.Sub(d.Started) <= w.opts.Settle {
			level = slog.LevelDebug // what is no exception
		}
		w.log.Log(context.Background(), level, "the watermark passes a transaction that is still open; its window will be rolled up again when it ends",
			journal.DebtRecorded.Attr(), journal.Reason(d.Description))
	}
	return nil
}

// doubtSince is from where on others may have moved the watermark without our
// having rolled up what it passed: the watermark itself where nobody has.
func (w *Walker) doubtSince(mark time.Time) time.Time {
	if w.store == nil {
		return mark
	}
	m, err := w.store.Load()
	if err != nil {
		return mark // who changes the memory next reports it
	}
	return m.DoubtFrom(mark)
}

// noticeMove compares the watermark with what this agent committed last. Where
// others have moved it ahead, the gap is owed: upstream's migration hook
// stamps the watermark without rolling up.
func (w *Walker) noticeMove(ours, mark time.Time) error {
	var gap *ledger.Deferred
	err := w.remember(func(m *ledger.Memory) { gap = m.NoticeMove(ours, mark) })
	if gap != nil && err == nil {
		w.log.Info("others moved the watermark since our last slice; what lies between is rolled up again",
			journal.WatermarkMovedByOther.Attr(), journal.SliceFrom(gap.From), journal.SliceTo(gap.To))
	}
	return err
}

// settleDebts rolls up again what is owed and has fallen due. False means that the budget ended first.
func (w *Walker) settleDebts(ctx context.Context) (bool, error) {
	if w.store == nil {
		return true, nil
	}
	m, err := w.store.Load()
	if err != nil {
		return false, problem.Wrap(err, problem.Failed, "look at the state directory "+w.store.Dir(), "%v", err)
	}
	w.st.Debts = len(m.Deferred)
	if w.horizon.Moving {
		return true, nil // what would be rolled up now may be moved unseen: later
	}
	debts, err := w.fallenDue(m.Deferred)
	if err != nil {
		return false, err
	}
	for _, d := range debts {
		if finished, err := w.settle(ctx, d); err != nil || !finished {
			return false, err
		}
	}
	return true, nil
}

// fallenDue returns those debts whose cause has ended, with the windows they have now.
func (w *Walker) fallenDue(debts []ledger.Deferred) (due []ledger.Deferred, err error) {
	due = ledger.FallenDue(debts, w.horizon.Open, w.st.Watermark)
	for _, d := range due {
		if !d.Moves {
			continue
		}
		if err := w.remember(func(m *ledger.Memory) { m.Widen(d, w.st.Watermark) }); err != nil {
			return nil, err
		}
	}
	return due, nil
}

// settle rolls up again one window that has fallen due.
func (w *Walker) settle(ctx context.Context, d ledger.Deferred) (bool, error) {
	end, complete := d.Until(w.horizon.At, w.st.Watermark)
	if err := w.owe(ledger.Again(d, w.horizon.Owed), nil); err != nil {
		return false, err
	}
	l := &leg{
		cursor: d.From, end: end,
		planner: planner{pass: Pass{Start: d.From, End: end}, byHours: !w.engine.OneSnapshot()},
		done: func(cursor time.Time, _ Result) error {
			return w.remember(func(m *ledger.Memory) {
				if !(complete && !cursor.Before(end)) {
					m.Settle(d, cursor)
				}
			})
		},
	}
	finished, err := w.walk(ctx, l)
	if err != nil || !finished || !complete {
		return finished, err
	}
	if err := w.remember(func(m *ledger.Memory) { m.Settle(d, d.To) }); err != nil {
		return false, err
	}
	w.log.Info("rolled up again what was owed", journal.DebtSettled.Attr(), journal.Reason(d.Description),
		journal.SliceFrom(d.From), journal.SliceTo(d.To))
	return true, nil
}
