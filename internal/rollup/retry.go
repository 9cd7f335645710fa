package rollup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// conflictTries bounds how often one step is repeated after losing to a concurrent transaction.
const conflictTries = 20

// with runs one step on a live connection. It repeats the step after a lost
// connection (for as long as opts.Reconnect says) and after a serialization
// failure or deadlock; so steps must be whole transactions, or reads.
func (w *Walker) with(ctx context.Context, step func(*pgx.Conn) error) error {
	var lostSince time.Time
	backoff := 100 * time.Millisecond
	for conflicts := 0; ; {
		err := w.connected(ctx)
		if err == nil {
			err = step(w.conn)
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("interrupted: %w", ctx.Err())
		case isConflict(err) && conflicts < conflictTries:
			conflicts++
			w.log.Debug("lost a conflict, trying again", journal.SliceRetried.Attr(), journal.Reason(w.connector.Redact(err.Error())))
			err = sleep(ctx, time.Duration(10+rand.IntN(90))*time.Millisecond)
		case isLost(err) || (w.conn == nil && problem.KindOf(err) == problem.Unreachable):
			w.Close(ctx)
			if lostSince.IsZero() {
				lostSince = time.Now()
				w.log.Warn("lost the database, trying to reach it again", journal.DatabaseUnreachable.Attr(), journal.Reason(w.explain(err).Error()))
			}
			if time.Since(lostSince)+backoff > w.opts.Reconnect {
				return w.explain(err)
			}
			err = sleep(ctx, backoff)
			backoff = min(2*backoff, 5*time.Second)
		default:
			return err
		}
		if err != nil {
			return fmt.Errorf("interrupted: %w", err)
		}
	}
}

func (w *Walker) connected(ctx context.Context) error {
	if w.conn != nil && !w.conn.IsClosed() {
		return nil
	}
	conn, err := w.connector.Connect(ctx)
	if err != nil {
		return err
	}
	w.conn = conn
	return nil
}

func isConflict(err error) bool {
	switch pg.SQLState(err) {
	case pg.StateSerializationFailure, pg.StateDeadlockDetected, pg.StateUniqueViolation:
		return true
	}
	return errors.Is(err, errLockTaken)
}

// isLost says whether the connection, or the server behind it, has gone, so
// that the same step may work on a new connection. A server that has become a
// standby counts: with several hosts in the DSN the next one may be the primary.
func isLost(err error) bool {
	switch state := pg.SQLState(err); {
	case strings.HasPrefix(state, "08"), state == pg.StateReadOnlyTransaction,
		state == pg.StateAdminShutdown, state == pg.StateCrashShutdown, state == pg.StateCannotConnectNow,
		state == "25P03": // idle_in_transaction_session_timeout: we were stopped for a while
		return true
	case state != "":
		return false
	}
	if _, ok := errors.AsType[*problem.Error](err); ok {
		return false
	}
	var netErr net.Error
	return errors.As(err, &netErr) || isClosedText(err)
}

// isClosedText recognises a connection that the driver found closed.
func isClosedText(err error) bool {
	text := err.Error()
	for _, s := range []string{"conn closed", "unexpected EOF", "broken pipe", "connection reset", "closed network connection", "EOF"} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// BusyError is lock 4246, or a lock on one of the pipeline's tables, held by
// another for longer than the walk's patience.
type BusyError struct {
	Holders string
	Err     error
}

func (e *BusyError) Error() string { return "the roll-up is locked by " + e.Holders }

// Unwrap returns the lock timeout.
func (e *BusyError) Unwrap() error { return e.Err }

// busy decides after a lock timeout: nil to try again, a *BusyError when the patience is over.
func (w *Walker) busy(ctx context.Context, cause error) error {
	if w.busySince.IsZero() {
		w.busySince = time.Now()
	}
	if time.Since(w.busySince) < w.opts.LockPatience {
		return nil
	}
	holders := "another session"
	_ = w.with(ctx, func(conn *pgx.Conn) error {
		sessions, err := pg.LockSessions(ctx, conn)
		var names []string
		for _, s := range sessions {
			if s.Granted {
				names = append(names, s.String())
			}
		}
		if len(names) > 0 {
			holders = strings.Join(names, ", ")
		}
		return err // where the holder cannot be named, the refusal stands all the same
	})
	w.st.Holder = holders
	return &BusyError{Holders: holders, Err: cause}
}
