package state_test

import (
	"errors"
	"os"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/state"
)

func TestOneBackfillOfADatabaseIsAtWork(t *testing.T) {
	dir := t.TempDir()
	worker, other := open(t, dir, "d"), open(t, dir, "other")
	looking := state.Inspect(dir, state.Key("7", "", "d"), "h:5432/d")
	sees := func(want bool) {
		t.Helper()
		if at, err := looking.BackfillAtWork(); err != nil || at != want {
			t.Errorf("at work: %t, %v; want %t", at, err, want)
		}
	}
	sees(false)
	work, err := worker.BeginBackfill()
	if err != nil {
		t.Fatal(err)
	}
	sees(true)
	sees(true)
	_, err = worker.BeginBackfill()
	if at, ok := errors.AsType[*state.AtWorkError](err); !ok || at.PID != os.Getpid() {
		t.Errorf("a second one: %v", err)
	}
	elsewhere, err := other.BeginBackfill()
	if err != nil {
		t.Errorf("another database's: %v", err)
	}
	elsewhere.End()
	work.End()
	sees(false)
	if again, err := worker.BeginBackfill(); err != nil {
		t.Errorf("once it has ended: %v", err)
	} else {
		again.End()
	}
}
