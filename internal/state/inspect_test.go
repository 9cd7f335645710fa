package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/multica-rollup/multica-rollup/internal/state"
)

func TestInspectingLeavesADamagedFileWhereItIs(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"7-d.json", "7-d.backfill.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	looking := state.Inspect(dir, state.Key("7", "", "d"), "database")
	for range 2 {
		_, memory := looking.Load()
		_, place := looking.LoadCheckpoint()
		for _, err := range []error{memory, place} {
			if damaged, ok := errors.AsType[*state.UnusableError](err); !ok || damaged.Aside != "" {
				t.Fatalf("got %v, want it damaged and left alone", err)
			}
		}
	}
	store, err := state.Open(dir, state.Key("7", "", "d"), "database")
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Load()
	if damaged, ok := errors.AsType[*state.UnusableError](err); !ok || damaged.Aside == "" {
		t.Fatalf("got %v, want it set aside by who works with it", err)
	}
	if _, err := looking.Load(); err != nil {
		t.Errorf("once it is set aside: %v", err)
	}
}

func TestInspectingMakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	looking := state.Inspect(dir, state.Key("7", "", "d"), "database")
	m, err := looking.Load()
	if err != nil || !m.Committed.Equal(time.Time{}) {
		t.Errorf("got %+v, %v, want an empty memory", m, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("looking made the directory: %v", err)
	}
}

// TestTheServicesUserKeepsItsStateInOnePlace: the user's home is the packaged
// directory, and what is below it would be a second place where that cannot be written.
func TestTheServicesUserKeepsItsStateInOnePlace(t *testing.T) {
	const packaged = "/var/lib/multica-rollup"
	t.Setenv("STATE_DIRECTORY", "")
	t.Setenv("XDG_STATE_HOME", "")
	for home, want := range map[string]string{packaged: packaged, "/nowhere/home": "/nowhere/home/.local/state/multica-rollup"} {
		t.Setenv("HOME", home)
		if unix.Access(packaged, unix.W_OK) == nil {
			want = packaged // this host has the package
		}
		if got := state.Dir(""); got != want {
			t.Errorf("with the home %s state is kept in %s, want %s", home, got, want)
		}
	}
}
