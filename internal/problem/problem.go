// Package problem carries an error to the user: one line that says what is
// wrong, a hint that says what to type, and a kind from which the program's
// exit code follows.
package problem

import (
	"errors"
	"fmt"
)

// Kind classes a problem by what its reader can do about it.
type Kind int

// The kinds, with the exit code that `run`, `backfill`, `config` and `pgcron` end with.
const (
	Failed      Kind = iota // 1: the work failed
	Usage                   // 64: the command line is wrong (EX_USAGE)
	Unreachable             // 69: no database answers (EX_UNAVAILABLE)
	TryAgain                // 75: another holds the lock all along, or writing is switched off (EX_TEMPFAIL)
	Permission              // 77: the role or the user may not do this (EX_NOPERM)
	Config                  // 78: configuration, or not a Multica database (EX_CONFIG)
)

var exitCodes = [...]int{Failed: 1, Usage: 64, Unreachable: 69, TryAgain: 75, Permission: 77, Config: 78}

// ExitCode returns the process exit code of the kind, after sysexits.h.
func (k Kind) ExitCode() int { return exitCodes[k] }

// Error is a problem as the user meets it.
type Error struct {
	Kind Kind
	Msg  string // one line, lower case, no full stop, no secret
	Hint string // what to type or to look at; may be empty
	Err  error  // the cause, for errors.Is and errors.As; its text is not shown
}

// Error returns the line without its hint.
func (e *Error) Error() string { return e.Msg }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns a problem without a deeper cause. Hint may be empty.
func New(kind Kind, hint, format string, args ...any) *Error {
	return &Error{Kind: kind, Hint: hint, Msg: fmt.Sprintf(format, args...)}
}

// Wrap returns a problem caused by err; the message is its own, err's text is not added.
func Wrap(err error, kind Kind, hint, format string, args ...any) *Error {
	return &Error{Kind: kind, Hint: hint, Msg: fmt.Sprintf(format, args...), Err: err}
}

// KindOf returns the kind of the first problem in err's chain, Failed where there is none.
func KindOf(err error) Kind {
	if p, ok := errors.AsType[*Error](err); ok {
		return p.Kind
	}
	return Failed
}

// HintOf returns the hint of the first problem in err's chain, "" where there is none.
func HintOf(err error) string {
	if p, ok := errors.AsType[*Error](err); ok {
		return p.Hint
	}
	return ""
}
