package cli

import (
	"errors"
	"io"
	"testing"
)

// full is an output that takes nothing, as /dev/full.
type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestAResultThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Setenv("MULTICA_ROLLUP_DSN", "host=db dbname=multica")
	for _, args := range [][]string{{"version"}, {"version", "--json"}, {"doctor", "--list"}, {"config", "show"}} {
		if err := Run(t.Context(), args, nil, full{}, io.Discard); !errors.Is(err, errFull) {
			t.Errorf("%q: error %v, want that of the output", args, err)
		}
	}
}
