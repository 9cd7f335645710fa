package rollup

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pause"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// conflictTries bounds how often one step is repeated after losing to a concurrent transaction.
const conflictTries = 20

// with runs one step on a live connection. It repeats the step after a lost
// connection, as the session does, and after a serialization failure or
// deadlock; so steps must be whole transactions, or reads.
func (w *Walker) with(ctx context.Context, step func(*pgx.Conn) error) error {
	for conflicts := 0; ; conflicts++ {
		err := w.session.Do(ctx, step)
		if ctx.Err() != nil || !isConflict(err) || conflicts == conflictTries {
			return err
		}
		w.log.Debug("lost a conflict, trying again", journal.SliceRetried.Attr(), journal.Reason(w.connector.Redact(err.Error())))
		if err := pause.For(ctx, time.Duration(10+rand.IntN(90))*time.Millisecond); err != nil {
			return err
		}
	}
}

func isConflict(err error) bool {
	switch pg.SQLState(err) {
	case pg.StateSerializationFailure, pg.StateDeadlockDetected, pg.StateUniqueViolation:
		return true
	}
	return errors.Is(err, errLockTaken)
}

// BusyError is lock 4246, or a lock on one of the pipeline's tables, held by
// another for longer than the walk's patience.
type BusyError struct {
	Holders string
	Err     error
}

func (e *BusyError) Error() string { return "the roll-up is locked by " + e.Holders }

// Unwrap returns the lock timeout, or that the lock was always taken.
func (e *BusyError) Unwrap() error { return e.Err }

// busy decides after a lock timeout: nil to try again, a *BusyError when the
// patience is over. Until then it shows who is waited for.
func (w *Walker) busy(ctx context.Context, cause error) error {
	if w.busySince.IsZero() {
		w.busySince = time.Now()
	}
	holders := w.holders(ctx)
	waited := time.Since(w.busySince)
	if waited >= w.opts.LockPatience {
		holders = cmp.Or(holders, "another session")
		w.st.Holder = holders
		return &BusyError{Holders: holders, Err: cause}
	}
	waits := "for a lock that another session holds"
	if holders != "" {
		waits = "for lock 4246, held by " + holders
	}
	w.blocked(waits)
	if told := w.opts.LockTold; told > 0 && waited >= told && !w.busyTold {
		w.busyTold = true
		w.log.Info("waiting "+waits, journal.LockBusy.Attr(), journal.Reason(holders))
	}
	return nil
}

// holders names who holds lock 4246; "" where nobody does, or cannot be named.
func (w *Walker) holders(ctx context.Context) string {
	var names []string
	_ = w.with(ctx, func(conn *pgx.Conn) error {
		sessions, err := pg.LockSessions(ctx, conn)
		names = nil
		for _, s := range sessions {
			if s.Granted {
				names = append(names, s.String())
			}
		}
		return err // where the holder cannot be named, the refusal stands all the same
	})
	return strings.Join(names, ", ")
}
