package rollup_test

import (
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

// TestASecondBackfillOfAStateDirectoryWaitsForItsTurn: they would overwrite each other's checkpoint.
func TestASecondBackfillOfAStateDirectoryWaitsForItsTurn(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(64, 300))
	a := newAgent(t, db, "set")
	first := a.walker()
	plan, err := first.PlanBackfill(t.Context(), rollup.BackfillOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.plan(rollup.BackfillOptions{}); problem.KindOf(err) != problem.TryAgain || !strings.Contains(err.Error(), "at work already") {
		t.Errorf("a second one: %v", err)
	}
	a.run() // a tick does not mind
	a.opts.DryRun = true
	if _, err := a.plan(rollup.BackfillOptions{}); err != nil {
		t.Errorf("a dry run: %v", err)
	}
	a.opts.DryRun = false
	if err := first.Backfill(t.Context(), plan, rollup.BackfillOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.plan(rollup.BackfillOptions{}); err != nil {
		t.Errorf("once the first has ended: %v", err)
	}
	exact(t, db.Conn)
}
