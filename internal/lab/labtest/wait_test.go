package labtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

func TestAWaitEndsWithItsEventAndOtherwiseSaysWhatWasMissing(t *testing.T) {
	missing := errors.New("nothing yet")
	looks := 0
	look := func() error {
		if looks++; looks < 3 {
			return missing
		}
		return nil
	}
	if err := until(t.Context(), Guard, look); err != nil || looks != 3 {
		t.Errorf("%d looks and %v, want the third to end it", looks, err)
	}
	never := func() error { return missing }
	if err := until(t.Context(), time.Nanosecond, never); !errors.Is(err, missing) {
		t.Errorf("when the guard is over: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := until(ctx, Guard, never); !errors.Is(err, missing) || !errors.Is(err, context.Canceled) {
		t.Errorf("when the context ends: %v", err)
	}
}

func TestOnlyTrueIsTrue(t *testing.T) {
	db := New(t, lab.Gen272)
	for sql, want := range map[string]bool{"select true": true, "select false": false, "select null::boolean": false, "select 1/0 = 1": false, "select true where false": false} {
		if err := IsTrue(t.Context(), db.Conn, sql); (err == nil) != want {
			t.Errorf("%s: %v, want %t", sql, err, want)
		}
	}
	began := time.Now()
	UntilLater(t, db.Conn, began, 20*time.Millisecond) // the lab's server is on this machine
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("20 ms were over after %s", took)
	}
	holder, waiter := db.Connect(t), db.Connect(t)
	if _, err := holder.Exec(t.Context(), "select pg_advisory_lock(7)"); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := waiter.Exec(context.Background(), "select pg_advisory_lock(7)")
		got <- err
	}()
	UntilLocked(t, db.Conn, waiter.PgConn().PID())
	select {
	case err := <-got:
		t.Errorf("said to wait, it had ended: %v", err)
	default:
	}
	if _, err := holder.Exec(t.Context(), "select pg_advisory_unlock(7)"); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}
