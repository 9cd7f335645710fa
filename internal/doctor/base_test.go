package doctor_test

import (
	"errors"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/doctor"
	"github.com/multica-rollup/multica-rollup/internal/lab"
)

func TestAWellInstallationHasNoFinding(t *testing.T) {
	for _, gen := range []lab.Generation{lab.Gen102, lab.Gen213, lab.Gen272, lab.GenInterrupted} {
		t.Run(string(gen), func(t *testing.T) { newPatient(t, gen).wellNow() })
	}
}

// TestATableThatIsLockedCannotBeChecked: somebody's maintenance is no finding,
// but what could not be seen must not pass for well, nor may doctor wait for it.
func TestATableThatIsLockedCannotBeChecked(t *testing.T) {
	p := newPatient(t, lab.Gen272)
	p.begin("lock table task_usage_hourly in access exclusive mode")
	r := p.examine() // which returns, though the lock stays
	if r.Verdict != doctor.Unknown || r.Verdict.ExitCode() != 3 {
		t.Errorf("verdict %s, want unknown:\n%s", r.Verdict, text(r))
	}
	if r = p.examine("queue"); r.Verdict != doctor.OK {
		t.Errorf("what is not locked cannot be checked:\n%s", text(r))
	}
}

func TestAServiceManagerThatDoesNotAnswerIsToldOnce(t *testing.T) {
	p := newPatient(t, lab.Gen213)
	p.interruptBackfill() // what else asks it
	p.units, p.silent = nil, errors.New("the bus does not answer")
	var unknown []string
	for _, f := range p.examine().Findings {
		if f.Verdict == doctor.Unknown {
			unknown = append(unknown, f.ID)
		}
	}
	if len(unknown) != 1 || unknown[0] != "timer" {
		t.Errorf("could not be checked: %q, want the timer alone", unknown)
	}
}
