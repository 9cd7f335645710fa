package config

import (
	"fmt"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// faults collects everything that is wrong, so that one go tells it all.
type faults struct {
	lines []string
	hints []string
	kind  problem.Kind // of the first fault outside of the command line
	few   int          // how many of them there are
}

// add notes a fault of a setting. A hint may be "".
func (f *faults) add(kind problem.Kind, where, hint, format string, args ...any) {
	if f.few == 0 {
		f.kind, f.hints = kind, nil // hints on flags give way
	}
	f.few++
	if hint != "" {
		f.hints = append(f.hints, hint)
	}
	line := fmt.Sprintf(format, args...)
	if where != "" {
		line = where + ": " + line
	}
	f.lines = append(f.lines, line)
}

// flag notes a fault of a flag. What is wrong with the configuration beside it
// decides the kind: without the flag it would still be wrong.
func (f *faults) flag(hint, format string, args ...any) {
	f.lines = append(f.lines, fmt.Sprintf(format, args...))
	if f.few == 0 {
		f.hints = append(f.hints, hint)
	}
}

// config notes a fault whose cure is to edit the configuration.
func (f *faults) config(where, format string, args ...any) {
	f.add(problem.Config, where, "", format, args...)
}

// editHint is what to do about faults that have no hint of their own.
const editHint = "mend what is named above; multica-rollup config check tells whether all is well, and man multica-rollup.toml lists every key"

// err returns all faults as one problem, a line each, or nil.
func (f *faults) err() error {
	if len(f.lines) == 0 {
		return nil
	}
	kind := f.kind
	hint := editHint
	switch {
	case f.few == 0:
		kind = problem.Usage
	case f.few > 1:
		kind = problem.Config
	}
	if len(f.hints) > 0 {
		hint = f.hints[0]
	}
	return problem.New(kind, hint, "%s", strings.Join(f.lines, "\n"))
}
