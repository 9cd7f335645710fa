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
	kind  problem.Kind // of the first fault
}

// add notes a fault of a setting. A hint may be "".
func (f *faults) add(kind problem.Kind, where, hint, format string, args ...any) {
	if len(f.lines) == 0 {
		f.kind = kind
	}
	line := fmt.Sprintf(format, args...)
	if where != "" {
		line = where + ": " + line
	}
	f.lines = append(f.lines, line)
	if hint != "" {
		f.hints = append(f.hints, hint)
	}
}

// config notes a fault whose cure is to edit the configuration.
func (f *faults) config(where, format string, args ...any) {
	f.add(problem.Config, where, "", format, args...)
}

// err returns all faults as one problem, a line each, or nil.
func (f *faults) err() error {
	if len(f.lines) == 0 {
		return nil
	}
	kind := f.kind
	if len(f.lines) > 1 {
		kind = problem.Config
	}
	hint := "edit the lines above; multica-rollup config check tells whether all is well, and man multica-rollup.toml lists every key"
	if len(f.hints) > 0 {
		hint = f.hints[0]
	}
	return problem.New(kind, hint, "%s", strings.Join(f.lines, "\n"))
}

// shown quotes a name or a value for a message, cut short, and never a DSN.
func shown(s string) string {
	if strings.Contains(s, "://") || strings.Contains(s, "password") {
		return "(a DSN)"
	}
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return fmt.Sprintf("%q", s)
}
