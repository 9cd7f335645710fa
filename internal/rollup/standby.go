package rollup

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// standsBy says whether another's roll-up is good enough for this tick. What
// counts is how far the watermark trails the clock while something waits: the
// newest event alone would call a dead scheduler well as long as usage is rare.
func (w *Walker) standsBy() bool {
	if w.opts.StandbyLag <= 0 {
		return false
	}
	st := w.rep.st
	waits := st.Newest.After(st.Watermark)
	age := w.at.horizon.Now.Sub(st.Watermark)
	if !waits || age <= w.opts.StandbyLag {
		return true
	}
	w.rep.warn(journal.StandbyTookOver, "the other schedulers have fallen behind by "+report.Duration(age)+"; this standby takes over",
		journal.Watermark(st.Watermark), journal.Lag(age))
	return false
}

// standBy leaves the roll-up to others, except for what only this agent knows to be deferred.
func (w *Walker) standBy(ctx context.Context, b budget) error {
	settled, err := w.walk.settle(ctx, b, w.at.horizon)
	if err != nil {
		return err
	}
	w.rep.st.Outcome, w.rep.st.Behind = report.StandingBy, !settled
	return nil
}
