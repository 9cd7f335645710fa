package rollup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

// TestABackfillThatStartsOverKeepsTheCheckpointOfANewerVersion: an upgrade may want to look at it.
func TestABackfillThatStartsOverKeepsTheCheckpointOfANewerVersion(t *testing.T) {
	for _, restart := range []bool{false, true} {
		db := labtest.New(t, lab.Gen272)
		seed(t, db.Conn, lab.Typical(58, 300))
		a := newAgent(t, db, "set")
		a.interrupted(rollup.BackfillOptions{})
		place := a.places()[0]
		if err := os.WriteFile(place, []byte(`{"version": 7, "cursor": {}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := a.backfill(rollup.BackfillOptions{Restart: restart}, 500, 0)
		if err != nil || len(st.Warnings) != 1 || !strings.Contains(st.Warnings[0], "newer version") || strings.Contains(st.Warnings[0], "damaged") {
			t.Errorf("warnings %q, %v", st.Warnings, err)
		}
		if kept, _ := filepath.Glob(place + ".v7"); len(kept) != 1 {
			t.Errorf("restart %t: the newer version's checkpoint is gone", restart)
		}
		exact(t, db.Conn)
	}
}
