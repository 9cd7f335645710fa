package labtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Guard bounds every wait of a test. It only ends a test whose event never comes: no machine is
// so slow that an event which does come takes so long.
const Guard = 5 * time.Minute

// lookPause is how long a wait rests between two looks.
const lookPause = 10 * time.Millisecond

// Until looks again and again until look returns nil. It fails the test with look's last error
// when Guard is over, or when the test's context ends.
func Until(t testing.TB, event string, look func() error) {
	t.Helper()
	if err := until(t.Context(), Guard, look); err != nil {
		t.Fatalf("waiting until %s: %v", event, err)
	}
}

// UntilTrue looks again and again until a query of one boolean returns true. NULL is not true.
func UntilTrue(t testing.TB, conn *pgx.Conn, event, sql string, args ...any) {
	t.Helper()
	Until(t, event, func() error { return IsTrue(t.Context(), conn, sql, args...) })
}

// IsTrue returns an error unless a query of one boolean returns true.
func IsTrue(ctx context.Context, conn *pgx.Conn, sql string, args ...any) error {
	var is *bool
	if err := conn.QueryRow(ctx, sql, args...).Scan(&is); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	if is == nil || !*is {
		return fmt.Errorf("%s: it is not so", sql)
	}
	return nil
}

// UntilLocked waits until the session of a server process waits for a lock of any kind.
func UntilLocked(t testing.TB, conn *pgx.Conn, pid uint32) {
	t.Helper()
	UntilTrue(t, conn, fmt.Sprintf("pid %d waits for a lock", pid),
		"select exists (select from pg_locks where pid = $1 and not granted)", int64(pid))
}

// UntilLater waits until the server's clock, which may not be ours, is later than a time by
// so much. It is for what the server dates itself: a transaction's age, say.
func UntilLater(t testing.TB, conn *pgx.Conn, than time.Time, by time.Duration) {
	t.Helper()
	UntilTrue(t, conn, fmt.Sprintf("the server's clock is later than %s by %s", than, by),
		"select clock_timestamp() > $1::timestamptz + $2::interval", than, by)
}

func until(ctx context.Context, guard time.Duration, look func() error) error {
	end := time.NewTimer(guard)
	defer end.Stop()
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w, and %w", err, ctx.Err())
		case <-end.C:
			return fmt.Errorf("still after %s: %w", guard, err)
		case <-time.After(lookPause):
		}
	}
}
