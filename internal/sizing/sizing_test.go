package sizing_test

import (
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/sizing"
)

func TestASizeFollowsTheTimeTaken(t *testing.T) {
	for name, c := range map[string]struct {
		took time.Duration
		full bool
		want int
	}{
		"half the target: twice the size":                 {time.Second, true, 2000},
		"no time at all: twice the size, not more":        {0, true, 2000},
		"the target: the size":                            {2 * time.Second, true, 1000},
		"twice the target: half":                          {4 * time.Second, true, 500},
		"a hundred times the target: the floor":           {200 * time.Second, true, 100},
		"ended early and fast: tells nothing":             {time.Millisecond, false, 1000},
		"ended early and slow all the same: half":         {4 * time.Second, false, 500},
		"a little too long: a little less":                {2500 * time.Millisecond, true, 800},
		"a little less than the target: a little greater": {1600 * time.Millisecond, true, 1250},
	} {
		s := sizing.New(1000, 100, 100_000, 2*time.Second)
		if s.Took(c.took, c.full); s.Rows() != c.want {
			t.Errorf("%s: %d rows, want %d", name, s.Rows(), c.want)
		}
	}
}

func TestASizeStaysWithinItsBounds(t *testing.T) {
	s := sizing.New(1000, 100, 3000, time.Second)
	s.Took(0, true)
	s.Took(0, true)
	if s.Rows() != 3000 {
		t.Errorf("grew to %d, want 3000", s.Rows())
	}
	cuts := 0
	for s.Cut(4) {
		cuts++
	}
	if s.Rows() != 100 || cuts != 3 {
		t.Errorf("cut to %d in %d steps, want 100 in 3", s.Rows(), cuts)
	}
}

func TestACappedSizeIsCutFromThere(t *testing.T) {
	s := sizing.Fixed(200, 5)
	if s.Cap(40); !s.Cut(4) || s.Rows() != 10 {
		t.Errorf("cut to %d, want 10", s.Rows())
	}
	if s.Cap(1); s.Rows() != 5 {
		t.Errorf("capped to %d, want the floor of 5", s.Rows())
	}
}

func TestAFixedSizeIsChangedByCutsAlone(t *testing.T) {
	s := sizing.Fixed(1000, 500)
	s.Took(time.Hour, true)
	if s.Rows() != 1000 {
		t.Errorf("changed to %d", s.Rows())
	}
	if !s.Cut(2) || s.Rows() != 500 || s.Cut(2) {
		t.Errorf("cut to %d, want 500 and no further", s.Rows())
	}
	if small := sizing.Fixed(100, 500); small.Cut(2) {
		t.Error("a size below the floor was cut")
	}
}
