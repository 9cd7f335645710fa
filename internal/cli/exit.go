package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// The exit codes of status, doctor and verify, as monitoring plugins have them.
const (
	exitOK       = 0
	exitWarning  = 1
	exitCritical = 2
	exitUnknown  = 3
)

// exitError ends the program with a code of its own. Where err is set it is
// printed, unless it was reported before.
type exitError struct {
	code     int
	err      error
	reported bool
}

// Error returns the text of the cause.
func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.err }

// exitWith ends the program with the code and no further word: the result said it all. 0 is success.
func exitWith(code int) error {
	if code == exitOK {
		return nil
	}
	return &exitError{code: code, reported: true}
}

// monitoringAnnotation marks commands whose exit codes are a monitoring plugin's.
const monitoringAnnotation = "monitoring"

// monitoring makes every error of a command end in 3, "could not check":
// to a monitoring system 1 and 2 are findings.
func monitoring(cmd *cobra.Command) *cobra.Command {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[monitoringAnnotation] = "true"
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return couldNotCheck(run(cmd, args)) }
	return cmd
}

// unanswered words the end of the patience that a command's look at the
// database has: whoever does not answer is not reached.
func unanswered(err error, connector *pg.Connector, patience time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return problem.Wrap(err, problem.Unreachable, "multica-rollup doctor", "%s did not answer within %s", connector.Target(), patience)
	}
	return err
}

// couldNotCheck gives an error the code for that, unless it has one of its own.
func couldNotCheck(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*exitError](err); ok {
		return err
	}
	if pipeline.IsRefusal(err) { // of verify, which may write; status and doctor make a finding of it
		return &exitError{code: ExitCode(err), err: err}
	}
	return &exitError{code: exitUnknown, err: err}
}

// ExitCode returns the process exit code of what Run returned: the code of the
// command itself, else the problem's kind, else 1.
func ExitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return problem.KindOf(err).ExitCode()
}

// report prints the error of a command, once: as an entry where the log is read
// by machines, else as text.
func (a *app) report(cmd *cobra.Command, err error) {
	if err == nil {
		return
	}
	if e, ok := errors.AsType[*exitError](err); ok && e.reported {
		return
	}
	text, hint := err.Error(), problem.HintOf(err)
	if errors.Is(err, context.Canceled) {
		text, hint = "interrupted", ""
	}
	lines := strings.Split(a.redact(text), "\n")
	hint = a.redact(hint)
	if a.native {
		for _, line := range lines {
			a.log().LogAttrs(cmd.Context(), slog.LevelError, line, eventOf(cmd, err).Attr(), journal.Reason(line), journal.Hint(hint))
		}
		return
	}
	for _, line := range lines {
		a.say("%s: %s\n", programName, line)
	}
	if hint != "" {
		a.say("hint: %s\n", hint)
	}
}

// say writes a diagnostic. Where stderr takes none, there is nobody left to tell.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.err, format, args...)
}

// eventOf names the journal's event for the error of a command.
func eventOf(cmd *cobra.Command, err error) journal.Event {
	switch kind := problem.KindOf(err); {
	case kind == problem.Config || kind == problem.Usage:
		return journal.ConfigProblem
	case kind == problem.Unreachable:
		return journal.DatabaseUnreachable
	case cmd.Name() == "backfill":
		return journal.BackfillFailed
	}
	return journal.RunFailed
}
