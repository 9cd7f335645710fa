package rollup

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// BusyError is lock 4246, or a lock on one of the pipeline's tables, held by
// another for longer than the walk's patience, or others that were faster at the same rows all along.
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

// turn waits for our turn at lock 4246.
type turn struct {
	db       *database
	rep      *reporter
	patience time.Duration
	told     time.Duration // after how long the log says who is waited for; 0 means never
}

// take repeats a try, which takes the lock, while another has it or is faster at the same rows: up to the patience, which ends with a
// *BusyError, or up to the end of the budget, which ends with errOutOfTime. Meanwhile it shows who is waited for.
func (t *turn) take(ctx context.Context, b budget, try func() error) error {
	logged := false
	err := pg.WaitForLock(try, func(waited time.Duration, refusal error) error {
		holders := t.db.holders(ctx)
		if waited >= t.patience {
			return &BusyError{Holders: cmp.Or(holders, "another session"), Err: refusal}
		}
		if b.spent() {
			return errOutOfTime
		}
		waits := "for a lock that another session holds"
		if holders != "" {
			waits = "for lock 4246, held by " + holders
		}
		t.rep.blocked(waits)
		if t.told > 0 && waited >= t.told && !logged {
			logged = true
			t.rep.log.Info("waiting "+waits, journal.LockBusy.Attr(), journal.Reason(holders))
		}
		return nil
	})
	if err == nil {
		t.rep.blocked("")
	}
	return err
}
