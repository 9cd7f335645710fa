package ledger

import (
	"slices"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/instant"
)

// Bounds on what is remembered: a file has to stay far below the size up to which
// files are read, whatever is open in the database.
const (
	// MostDeferred is beyond what a server has open at once; where it is passed, work is behind.
	MostDeferred = 300
	mostText     = 200  // of a description, in bytes
	mostError    = 1000 // of a run's error, in bytes
	mostHidden   = 500  // virtual transactions in one window
)

// anyHidden stands for more hidden writers than are listed.
const anyHidden = "*"

// bounded returns windows that cover the same event times and wait for at least
// the same, at most as many: where there are more, the oldest of each kind become one.
func bounded(windows []Deferred, most int) []Deferred {
	if len(windows) <= most {
		return windows
	}
	sorted := slices.Clone(windows)
	slices.SortStableFunc(sorted, func(a, b Deferred) int { return a.From.Compare(b.From) })
	oldest := len(sorted) - most/2 // not one at each time
	var few []Deferred
	for _, d := range sorted[:oldest] {
		if i := slices.IndexFunc(few, func(o Deferred) bool { return o.Kind == d.Kind }); i >= 0 {
			few[i] = few[i].with(d)
		} else {
			few = append(few, d)
		}
	}
	return append(few, sorted[oldest:]...)
}

// with returns the window that covers d and o, of one kind, and waits for both.
func (d Deferred) with(o Deferred) Deferred {
	both := Deferred{
		Kind: d.Kind, From: instant.Earlier(d.From, o.From), To: instant.Later(d.To, o.To), Moves: d.Moves || o.Moves,
		Wrote: instant.Earlier(d.Wrote, o.Wrote), Started: instant.Later(d.Started, o.Started),
	}
	if d.Kind == HiddenTransaction || d.Kind == OpenTransaction { // one that was seen may be hidden by now
		both.VirtualTransaction = joined(d.VirtualTransaction, o.VirtualTransaction)
	}
	switch d.Kind {
	case Gap:
		both.Description = d.Description
	case PreparedTransaction:
		both.Description = "transactions prepared by " + instant.Stamp(both.Started)
	case HiddenTransaction:
		both.Description = "sessions whose start our role may not see, by " + instant.Stamp(both.To)
	default:
		both.Description = "transactions that began by " + instant.Stamp(both.Started)
	}
	return both
}

// Several says whether a window waits for all transactions of its kind that
// began by Started, or for each of the listed hidden ones, and not for a single one.
func (d Deferred) Several() bool {
	return d.Kind == OpenTransaction && d.PID == 0 || d.Kind == PreparedTransaction && d.GID == "" || d.Kind == HiddenTransaction && d.PID == 0
}

// covers says whether a window of several waits for o's transaction as it is.
func (d Deferred) covers(o Deferred) bool {
	if !d.Several() || d.Kind != o.Kind {
		return false
	}
	if d.Kind == HiddenTransaction {
		return d.hides(o.VirtualTransaction)
	}
	return !o.Started.After(d.Started)
}

// hides says whether a hidden writer is one of those that d waits for.
func (d Deferred) hides(virtualTransaction string) bool {
	return d.VirtualTransaction == anyHidden ||
		virtualTransaction != "" && slices.Contains(strings.Fields(d.VirtualTransaction), virtualTransaction)
}

// joined lists the virtual transactions of two lists.
func joined(a, b string) string {
	all := append(strings.Fields(a), strings.Fields(b)...)
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > mostHidden || slices.Contains(all, anyHidden) {
		return anyHidden
	}
	return strings.Join(all, " ")
}

// cut bounds a text, in bytes, at the end of a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
