package state

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/files"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

// TestWhatIsRememberedSurvivesALossOfPower: a file's new name is on disk only once its directory is.
func TestWhatIsRememberedSurvivesALossOfPower(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Key("7", "", "d"), "h:5432/d")
	if err != nil {
		t.Fatal(err)
	}
	var synced [][]string // what the directory held whenever it was written to disk
	s.syncDir = func(dir string) error {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		var names []string
		for _, e := range entries {
			if e.Name() != "7-d.lock" {
				names = append(names, e.Name())
			}
		}
		synced = append(synced, names)
		return files.SyncDir(dir)
	}
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		do   func() error
		want []string
	}{
		{func() error { return s.Update(func(*ledger.Memory) {}) }, []string{"7-d.json"}},
		{func() error { return s.SaveCheckpoint(ledger.Checkpoint{PassFrom: at, PassTo: at, Cursor: at}) }, []string{"7-d.backfill.json", "7-d.json"}},
		{s.ClearCheckpoint, []string{"7-d.json"}},
		{func() error {
			if err := os.WriteFile(s.path(".json"), []byte("{"), 0o600); err != nil {
				return err
			}
			if _, err := s.Load(); !Unusable(err) {
				t.Errorf("it loads a damaged file: %v", err)
			}
			return nil
		}, []string{"7-d.json.damaged"}},
	} {
		synced = nil
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if len(synced) != 1 || !slices.Equal(synced[0], step.want) {
			t.Errorf("on disk came %v, want %v", synced, step.want)
		}
	}
}
