package pg

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// LockKey is the advisory lock that every roll-up of task_usage_hourly takes:
// Multica's own functions and scheduler, its backfill, and this program.
// Deleting a workspace waits for it.
const LockKey int64 = 4246

// Querier asks within a transaction of ours, of one server. A connection has the
// same methods, and a statement outside of a transaction may be answered by any
// server behind a pooler: nothing of ours is asked there.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// turnstile is the second half of an advisory lock of two keys, (LockKey,
// turnstile), before which our own transactions queue: one of all agents waits
// for LockKey or holds it. PostgreSQL serves those who wait for a lock in their
// order, so the deletion of a workspace is behind one slice of ours at the most,
// however many agents and backfills there are.
const turnstile = 1

// Lock takes the advisory lock until tx ends, queueing behind others for as
// long as tx's lock_timeout allows, twice; then the error has StateLockNotAvailable.
func Lock(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1::int, $2::int), pg_advisory_xact_lock($1::bigint)", LockKey, turnstile)
	if err != nil {
		return fmt.Errorf("taking advisory lock %d: %w", LockKey, err)
	}
	return nil
}

// ErrLockTaken: another transaction has a lock that was not to be waited for. The whole transaction may be tried again.
var ErrLockTaken = errors.New("a lock was taken by another transaction")

// TryLock takes the advisory lock until tx ends if nobody else has it, else it returns ErrLockTaken.
func TryLock(ctx context.Context, tx pgx.Tx) error {
	var got bool
	if err := tx.QueryRow(ctx, "select pg_try_advisory_xact_lock($1)", LockKey).Scan(&got); err != nil {
		return fmt.Errorf("trying advisory lock %d: %w", LockKey, err)
	}
	if !got {
		return ErrLockTaken
	}
	return nil
}

// InLockedTx runs fn in a transaction that holds the advisory lock, and returns for how long it held it.
// Where another has the lock, the error is one that Contended knows: after the settings' lock timeout, or,
// in a REPEATABLE READ transaction, where another was faster.
func InLockedTx(ctx context.Context, conn *pgx.Conn, s TxSettings, fn func(pgx.Tx) error) (held time.Duration, err error) {
	if s.RepeatableRead {
		// Its snapshot is older than its lock, so it cannot wait for the lock: one before it does.
		waits := s
		waits.RepeatableRead = false
		if err := InTx(ctx, conn, waits, func(tx pgx.Tx) error { return Lock(ctx, tx) }); err != nil {
			return 0, err
		}
	}
	take := Lock
	if s.RepeatableRead {
		take = TryLock
	}
	var locked time.Time
	err = InTx(ctx, conn, s, func(tx pgx.Tx) error {
		if err := take(ctx, tx); err != nil {
			return err
		}
		locked = time.Now()
		return fn(tx)
	})
	if locked.IsZero() {
		return 0, err
	}
	return time.Since(locked), err
}

// Contended says whether a transaction failed for others that were at work on the same at that moment: one had a
// lock for too long, or was faster.
func Contended(err error) bool {
	switch SQLState(err) {
	case StateLockNotAvailable, StateSerializationFailure, StateDeadlockDetected:
		return true
	}
	return errors.Is(err, ErrLockTaken)
}

// WaitForLock repeats a try, a transaction that needs locks, while others are in its way: Contended knows its
// error. After each refusal waiting is told how long it is since the first, since a try may have had to do other
// things before it needed the locks; its error ends the waiting and is returned.
func WaitForLock(try func() error, waiting func(waited time.Duration, refusal error) error) error {
	var since time.Time
	for {
		err := try()
		if !Contended(err) {
			return err
		}
		if since.IsZero() {
			since = time.Now()
		}
		if err := waiting(time.Since(since), err); err != nil {
			return err
		}
	}
}

// LockSession is a session that holds the advisory lock or waits for it.
type LockSession struct {
	PID          int32
	Granted      bool
	Application  string
	User         string
	State        string    // pg_stat_activity.state; "" where it is hidden from our role
	Since        time.Time // start of its transaction, or of its last change of state; zero where hidden
	BackendStart time.Time // zero where hidden
}

// LookAnew has the next look at pg_stat_activity see what is there now: within a
// transaction all see what the first saw, whatever stats_fetch_consistency is.
func LookAnew(ctx context.Context, q Querier) error {
	var nothing string
	if err := q.QueryRow(ctx, "select pg_stat_clear_snapshot()::text").Scan(&nothing); err != nil {
		return fmt.Errorf("forgetting what was seen of other sessions: %w", err)
	}
	return nil
}

// LockSessions lists who holds the advisory lock and who waits for it.
func LockSessions(ctx context.Context, q Querier) ([]LockSession, error) {
	if err := LookAnew(ctx, q); err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, statement("lock_sessions"), LockKey)
	if err != nil {
		return nil, fmt.Errorf("reading who holds advisory lock %d: %w", LockKey, err)
	}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (LockSession, error) {
		var s LockSession
		var since, started *time.Time
		err := r.Scan(&s.PID, &s.Granted, &s.Application, &s.User, &s.State, &since, &started)
		if since != nil {
			s.Since = *since
		}
		if started != nil {
			s.BackendStart = *started
		}
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading who holds advisory lock %d: %w", LockKey, err)
	}
	return list, nil
}

// String describes the session in a few words: pid, application, user and since when.
func (s LockSession) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pid %d", s.PID)
	if s.Application != "" {
		fmt.Fprintf(&b, " (%s)", s.Application)
	}
	if s.User != "" {
		fmt.Fprintf(&b, ", user %s", s.User)
	}
	if s.State != "" && s.State != "active" {
		fmt.Fprintf(&b, ", %s", s.State)
	}
	if !s.Since.IsZero() {
		fmt.Fprintf(&b, ", since %s", s.Since.UTC().Format(time.RFC3339))
	}
	return b.String()
}
