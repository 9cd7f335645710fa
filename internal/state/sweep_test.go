package state_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/state"
)

func TestOpeningRemovesWhatKilledWritersLeft(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-2 * time.Hour)
	for name, at := range map[string]time.Time{
		".7-d.json123": old, ".7-d.backfill.json4": old, // abandoned
		".7-d.json5": time.Now(), ".7-d-other.json6": old, ".keep": old, "7-d.json": old, // under way, another's, not ours, the file itself
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := state.Open(dir, state.Key("7", "", "d"), "database"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{".7-d-other.json6", ".7-d.json5", ".keep", "7-d.json"}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
}
