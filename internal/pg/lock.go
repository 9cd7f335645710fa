package pg

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// LockKey is the advisory lock that every roll-up of task_usage_hourly takes:
// Multica's own functions and scheduler, its backfill, and this program.
// Deleting a workspace waits for it.
const LockKey int64 = 4246

// Querier is what a connection and a transaction have in common.
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

// TryLock takes the advisory lock until tx ends if nobody else has it.
func TryLock(ctx context.Context, tx pgx.Tx) (bool, error) {
	var got bool
	if err := tx.QueryRow(ctx, "select pg_try_advisory_xact_lock($1)", LockKey).Scan(&got); err != nil {
		return false, fmt.Errorf("trying advisory lock %d: %w", LockKey, err)
	}
	return got, nil
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

//go:embed lock_sessions.sql
var lockSessionsSQL string

// LockSessions lists who holds the advisory lock and who waits for it.
func LockSessions(ctx context.Context, q Querier) ([]LockSession, error) {
	rows, err := q.Query(ctx, lockSessionsSQL, LockKey)
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
