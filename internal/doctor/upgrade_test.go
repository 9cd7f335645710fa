package doctor_test

import (
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/doctor"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// TestAnUpgradeIsLedThroughByDoctor follows doctor's advice from v0.3.4, whose
// pipeline is another, over the migration that stops, to a release with costs.
func TestAnUpgradeIsLedThroughByDoctor(t *testing.T) {
	db := labtest.New(t, lab.Gen097)
	p := admitUnrolled(t, lab.Gen097, db.Server, db.Name, db.Conn)

	f := p.only("pipeline")
	if want := "upgrade Multica to v0.3.5"; f.Verdict != doctor.Critical || len(f.Fix.Advice) < len(want) || f.Fix.Advice[:len(want)] != want {
		t.Fatalf("%s, fix %q, want critical and %q", f.Verdict, f.Fix, want)
	}
	upgrade := func(from, to lab.Generation) error { return lab.Upgrade(t.Context(), p.conn, from, to) }
	if err := upgrade(lab.Gen097, lab.GenInterrupted); err != nil {
		t.Fatal(err)
	}
	if err := upgrade(lab.GenInterrupted, lab.Gen102); err == nil {
		t.Fatal("migration 103 did not stop the upgrade")
	}
	p.carryOut(p.only("guard"), nil)
	p.wellNow()
	if err := upgrade(lab.GenInterrupted, lab.Gen102); err != nil {
		t.Fatal(err)
	}
	p.wellNow()
	if err := upgrade(lab.Gen102, lab.Gen213); err != nil {
		t.Fatal(err)
	}
	p.carryOut(p.only("costs"), nil)
	p.wellNow()
}
