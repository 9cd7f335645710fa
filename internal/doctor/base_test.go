package doctor_test

import (
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

func TestAWellInstallationHasNoFinding(t *testing.T) {
	for _, gen := range []lab.Generation{lab.Gen102, lab.Gen213, lab.Gen272, lab.GenInterrupted} {
		t.Run(string(gen), func(t *testing.T) { newPatient(t, gen).wellNow() })
	}
}
