package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

func TestExitCodesFollowFromTheError(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{context.Canceled, 1},
		{problem.New(problem.Usage, "", "x"), 64},
		{problem.New(problem.Unreachable, "", "x"), 69},
		{problem.New(problem.TryAgain, "", "x"), 75},
		{problem.New(problem.Permission, "", "x"), 77},
		{fmt.Errorf("reading: %w", problem.New(problem.Config, "", "x")), 78},
		{exitWith(exitOK), 0},
		{exitWith(exitWarning), 1},
		{exitWith(exitCritical), 2},
		{couldNotCheck(problem.New(problem.Config, "", "x")), 3},
		{couldNotCheck(exitWith(exitCritical)), 2},
		{couldNotCheck(nil), 0},
	} {
		if got := ExitCode(tt.err); got != tt.want {
			t.Errorf("ExitCode(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestReportPrintsEachErrorOnceWithItsHint(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"nothing", nil, ""},
		{"plain", errors.New("x"), "multica-rollup: x\n"},
		{"hint", problem.New(problem.Config, "do this", "x"), "multica-rollup: x\nhint: do this\n"},
		{"several lines", problem.New(problem.Config, "do this", "x\ny"), "multica-rollup: x\nmultica-rollup: y\nhint: do this\n"},
		{"wrapped", fmt.Errorf("reading: %w", problem.New(problem.Config, "do this", "x")), "multica-rollup: reading: x\nhint: do this\n"},
		{"interrupted", fmt.Errorf("reading: %w", context.Canceled), "multica-rollup: interrupted\n"},
		{"said by its code", exitWith(exitCritical), ""},
		{"could not check", couldNotCheck(problem.New(problem.Config, "do this", "x")), "multica-rollup: x\nhint: do this\n"},
		{"with the password", fmt.Errorf("connecting to postgres://u:s3cr3t@h"), "multica-rollup: connecting to postgres://u:xxxxx@h\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			a := &app{err: &stderr, out: io.Discard}
			a.loaded = &config.Loaded{Config: config.Config{DSN: "postgres://u:s3cr3t@h/d"}}
			a.setLog(config.Defaults(), nil)
			a.report(&cobra.Command{Use: "run"}, tt.err)
			if got := stderr.String(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// To a monitoring system 1 and 2 are findings, whatever went wrong before there
// could be one. To doctor a wrong configuration is a finding.
func TestMonitoringCommandsEndWithUnknownOnAnyError(t *testing.T) {
	for _, command := range [][]string{
		{"status", "--config=/nonexistent/rollup.toml"},
		{"status", "--engine=none"},
		{"status", "--no-such-flag"},
		{"status", "an-argument"},
		{"doctor", "--no-such-flag"},
		{"doctor", "an-argument"},
	} {
		err := Run(t.Context(), command, nil, io.Discard, io.Discard)
		if got := ExitCode(err); got != exitUnknown {
			t.Errorf("%v ends with %d, want %d: %v", command, got, exitUnknown, err)
		}
	}
}
