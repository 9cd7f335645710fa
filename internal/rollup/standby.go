package rollup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// standsBy says whether another's roll-up is good enough for this tick. What
// counts is how far the watermark trails the clock while something waits: the
// newest event alone would call a dead scheduler well as long as usage is rare.
func (w *Walker) standsBy() bool {
	if w.opts.StandbyLag <= 0 {
		return false
	}
	waits := w.st.Newest.After(w.st.Watermark)
	age := w.horizon.Now.Sub(w.st.Watermark)
	if !waits || age <= w.opts.StandbyLag {
		return true
	}
	text := "the other schedulers have fallen behind by " + report.Duration(age) + "; this standby takes over"
	w.st.Warn(text)
	w.log.Warn(text, journal.StandbyTookOver.Attr(), journal.Watermark(w.st.Watermark), journal.Lag(age))
	return false
}

// standBy leaves the roll-up to others, except for what only this agent knows to be owed.
func (w *Walker) standBy(ctx context.Context) error {
	settled, err := w.settleDebts(ctx)
	if err != nil {
		return err
	}
	w.st.Outcome, w.st.Behind = report.StandingBy, !settled
	return nil
}

// trusts says whether a standby takes the watermark that others moved for
// rolled up: a run left it there. Without that every stretch that others roll
// up would be owed, and the first take-over would have all of it to do again.
func (w *Walker) trusts(ctx context.Context, conn *pgx.Conn) (bool, error) {
	if w.opts.StandbyLag <= 0 {
		return false, nil
	}
	var ran bool
	err := w.readOn(ctx, conn, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, statement("state_ran", false), (settle - time.Second).Seconds()).Scan(&ran)
	})
	if err != nil {
		return false, fmt.Errorf("reading who moved the watermark: %w", err)
	}
	return ran, nil
}

// trust remembers the watermark as true.
func (w *Walker) trust(mark time.Time) error {
	return w.remember(func(m *ledger.Memory) { m.Trust(mark) })
}
