// Package property_test puts the walk through random histories and random
// sequences of what happens to a Multica database and to the agents beside it,
// and asks a plain-SQL oracle at the end of each: there must be no difference.
//
// MULTICA_PROOF_SEQUENCES says how many sequences (50), MULTICA_PROOF_SEED the
// seed of the first (1). A sequence that fails names its seed and tells its steps;
//
//	MULTICA_PROOF_SEED=17 MULTICA_PROOF_SEQUENCES=1 go test ./internal/proof/property
//
// takes the same steps again.
package property_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// setting reads a whole number from the environment.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s is %q, want a whole number", name, s)
	}
	return n
}

func TestAnyHistoryAndAnySequenceEndExact(t *testing.T) {
	first := setting(t, "MULTICA_PROOF_SEED", 1)
	for seed := first; seed < first+setting(t, "MULTICA_PROOF_SEQUENCES", 50); seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			w.live(steps(w.rng.IntN(20)))
			w.reachThePresent()
			w.live(steps(8 + w.rng.IntN(20)))
			w.settle()
		})
	}
}

// steps counts what happens in one era of a sequence.
type steps int
