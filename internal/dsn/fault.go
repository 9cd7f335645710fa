package dsn

import (
	"errors"
	"fmt"
)

// ErrMalformed is in the chain of every error of Parse.
var ErrMalformed = errors.New("neither a well-formed postgres:// URL nor keyword=value pairs")

// Fault says what is wrong with a DSN. Nothing of the DSN's text is in it: a
// mistyped DSN may hold its password anywhere. Names of keywords are from this
// package's own table.
type Fault struct {
	Reason string // to be read after "the DSN "
	Hint   string // what to write instead
}

// Error returns the reason, to be read after "the DSN ".
func (f *Fault) Error() string { return f.Reason }

// Unwrap returns ErrMalformed.
func (f *Fault) Unwrap() error { return ErrMalformed }

// Hints that several faults share.
const (
	hintForms  = `write it as postgres://USER:PASSWORD@HOST:5432/DATABASE, or as host=HOST user=USER password=PASSWORD dbname=DATABASE`
	hintEscape = "in a URL, write special characters of the password as %XX: @ is %40, : is %3A, / is %2F"
	hintQuote  = `put a value with spaces into single quotes, and a backslash before ' and \ in it: password='it\'s'`
)

func fault(hint, format string, args ...any) *Fault {
	return &Fault{Reason: fmt.Sprintf(format, args...), Hint: hint}
}

// noForm is the fault of a text that resembles no DSN at all.
func noForm() *Fault { return fault(hintForms, "is %v", ErrMalformed) }

func malformedURL(reason string) *Fault {
	return fault(hintEscape, "is no well-formed URL: %s", reason)
}
