package rollup

import (
	"context"
	"log/slog"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

// remember changes the memory, where there is one.
func (w *Walker) remember(change func(*state.Memory)) error {
	if w.store == nil {
		return nil
	}
	err := w.store.Update(func(m *state.Memory) {
		change(m)
		w.st.Debts = len(m.Debts)
	})
	if err != nil {
		return problem.Wrap(err, problem.Failed, "see that "+w.store.Dir()+" can be written and has room", "%v", err)
	}
	return nil
}

// owe remembers debts together with another change, nil for none.
func (w *Walker) owe(owed []state.Debt, change func(*state.Memory)) error {
	if len(owed) == 0 && change == nil {
		return nil
	}
	var fresh []state.Debt
	err := w.remember(func(m *state.Memory) {
		if change != nil {
			change(m)
		}
		for _, d := range owed {
			before := len(m.Debts)
			m.Owe(d)
			if len(m.Debts) > before {
				fresh = append(fresh, d)
			}
		}
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
	if !m.Truth.IsZero() {
		mark = earlier(mark, m.Truth)
	}
	for _, d := range m.Debts {
		if d.Kind == state.Gap {
			mark = earlier(mark, d.From)
		}
	}
	return mark
}

// noticeMove compares the watermark with what this agent committed last. Where
// others have moved it ahead, the gap is owed: upstream's migration hook
// stamps the watermark without rolling up.
func (w *Walker) noticeMove(ours, mark time.Time) error {
	var gap *state.Debt
	err := w.remember(func(m *state.Memory) {
		truth := later(m.Truth, ours)
		// At first sight there is nothing to compare with: verify tells whether it is true.
		if !truth.IsZero() && mark.After(truth) && !mark.Equal(m.Intent) {
			gap = &state.Debt{Kind: state.Gap, From: truth, To: mark, Description: "the watermark was moved by others"}
			m.Owe(*gap)
		}
		m.Truth = mark
	})
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
	w.st.Debts = len(m.Debts)
	if w.horizon.Moving {
		return true, nil // what would be rolled up now may be moved unseen: later
	}
	debts, err := w.fallenDue(m.Debts)
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
func (w *Walker) fallenDue(debts []state.Debt) (due []state.Debt, err error) {
	for _, d := range debts {
		if !w.horizon.due(d) {
			continue
		}
		if d.Moves {
			if err := w.remember(func(m *state.Memory) { m.Widen(d, w.st.Watermark) }); err != nil {
				return nil, err
			}
			d.To = later(d.To, w.st.Watermark)
		}
		due = append(due, d)
	}
	return due, nil
}

// settle rolls up again one window that has fallen due.
func (w *Walker) settle(ctx context.Context, d state.Debt) (bool, error) {
	// Beyond the horizon lies what transactions still open may write; the
	// walk comes to that by itself, unless others took the watermark there.
	end := earlier(d.To, w.horizon.At)
	if d.Kind == state.OpenTransaction && !d.Moves {
		end = d.To // this one's rows are all there
	}
	// A transaction that moves usage, and was not waited for, has not seen what this one has written:
	// that is due again when it has ended. What others wrote before it was owed, it has seen.
	var again []state.Debt
	for _, o := range w.horizon.Owed {
		if o.Moves && d.Kind != state.Gap {
			o.From = earlier(o.From, later(d.From, d.Wrote))
			again = append(again, o)
		}
	}
	if err := w.owe(again, nil); err != nil {
		return false, err
	}
	complete := !end.Before(earlier(d.To, w.st.Watermark))
	l := &leg{
		cursor: d.From, end: end,
		planner: planner{pass: Pass{Start: d.From, End: end}, byHours: !w.engine.OneSnapshot()},
		done: func(cursor time.Time, _ Result) error {
			return w.remember(func(m *state.Memory) {
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
	if err := w.remember(func(m *state.Memory) { m.Settle(d, d.To) }); err != nil {
		return false, err
	}
	w.log.Info("rolled up again what was owed", journal.DebtSettled.Attr(), journal.Reason(d.Description),
		journal.SliceFrom(d.From), journal.SliceTo(d.To))
	return true, nil
}
