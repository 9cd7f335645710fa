package rollup

import (
	"context"
	"errors"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// BusyError: lock 4246 or a table's lock was held, or other transactions kept changing the same rows, for longer
// than the walk's patience.
type BusyError struct {
	Holders string
	Err     error
}

func (e *BusyError) Error() string { return "the roll-up is locked by " + e.Holders }

// Unwrap returns the last refusal.
func (e *BusyError) Unwrap() error { return e.Err }

// errOutOfTime: the budget ended while the lock was waited for.
var errOutOfTime = errors.New("the budget ended")

// budget bounds the time in which work may begin.
type budget struct{ ends time.Time } // zero: no bound

// lasting returns a budget from now on; 0 means without a bound.
func lasting(d time.Duration) budget {
	if d <= 0 {
		return budget{}
	}
	return budget{time.Now().Add(d)}
}

func (b budget) spent() bool { return !b.ends.IsZero() && !time.Now().Before(b.ends) }

// lockWait waits for lock 4246.
type lockWait struct {
	db       *database
	rep      *reporter
	patience time.Duration
	told     time.Duration // after how long the log says who is waited for; 0 means never
}

// retry repeats a try, which takes the lock, while another has it or is faster at the same rows: up to the
// patience, which ends with a *BusyError, or up to the end of the budget, which ends with errOutOfTime. Meanwhile
// it shows who is waited for.
func (w *lockWait) retry(ctx context.Context, b budget, try func() error) error {
	logged := false
	err := pg.WaitForLock(try, func(waited time.Duration, refusal error) error {
		holders, waits := w.inTheWay(ctx, refusal)
		if waited >= w.patience {
			return &BusyError{Holders: holders, Err: refusal}
		}
		if b.spent() {
			return errOutOfTime
		}
		w.rep.blocked(waits)
		if w.told > 0 && waited >= w.told && !logged {
			logged = true
			w.rep.log.Info("waiting "+waits, journal.LockBusy.Attr(), journal.Reason(holders))
		}
		if conflicting(refusal) {
			return w.db.afterConflict(ctx, refusal)
		}
		return nil
	})
	if err == nil {
		w.rep.blocked("")
	}
	return err
}

// inTheWay names who is waited for, and says so.
func (w *lockWait) inTheWay(ctx context.Context, refusal error) (holders, waits string) {
	holders = w.db.holders(ctx)
	switch {
	case holders != "":
		return holders, "for lock 4246, held by " + holders
	case conflicting(refusal):
		return "other transactions, which change the same rows each time", "for other transactions, which change the same rows"
	}
	return "another session", "for a lock that another session holds"
}
