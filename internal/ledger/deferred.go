package ledger

import (
	"time"

	"github.com/multica-rollup/multica-rollup/internal/instant"
)

// Kind says why a window was deferred.
type Kind string

// The kinds of deferred windows.
const (
	OpenTransaction     Kind = "open-transaction"     // a client transaction that the horizon was not held back for
	PreparedTransaction Kind = "prepared-transaction" // the same, in pg_prepared_xacts
	HiddenTransaction   Kind = "hidden-writer"        // one whose start cannot be seen
	Gap                 Kind = "gap"                  // others moved the watermark without our seeing a roll-up
)

// Deferred is a window of event time, half-open, that the watermark has passed
// and that has still to be rolled up again.
type Deferred struct {
	Kind Kind      `json:"kind"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`

	// Wrote is the earliest event time that rows of the transaction itself can have; zero for a gap.
	Wrote time.Time `json:"wrote,omitzero"`

	// What has to end before the window can be rolled up; zero for a gap. A window of Several has
	// neither PID nor GID: it waits for all that began by Started.
	PID                int32     `json:"pid,omitempty"`
	BackendStart       time.Time `json:"backend_start,omitzero"`
	Started            time.Time `json:"started,omitzero"`              // xact_start, or prepared
	GID                string    `json:"gid,omitempty"`                 // of a prepared transaction
	VirtualTransaction string    `json:"virtual_transaction,omitempty"` // of one in a session, or of several
	Description        string    `json:"description,omitempty"`

	// Moves says that the transaction may move usage to other keys. Then the window reaches, once it
	// has ended, to the watermark: what others wrote meanwhile was rolled up into the keys of before,
	// and its triggers, which ran earlier, have not seen it.
	Moves bool `json:"moves,omitempty"`
	// Ended says that it was seen to have ended, and that To is where the watermark was then.
	Ended bool `json:"ended,omitempty"`
}

// SameCause says whether two deferred windows wait for the same transaction. What could be seen of it may
// have changed meanwhile, its virtual transaction does not; files of earlier versions have none of those seen.
func (d Deferred) SameCause(o Deferred) bool {
	if d.VirtualTransaction != "" && o.VirtualTransaction != "" {
		return d.VirtualTransaction == o.VirtualTransaction && d.PID == o.PID
	}
	return d.Kind == o.Kind && d.Kind != Gap && d.PID == o.PID && d.BackendStart.Equal(o.BackendStart) &&
		d.Started.Equal(o.Started) && d.GID == o.GID
}

// Due says whether what d waits for has ended, given the transactions that are
// open. One may have been prepared meanwhile under a name that tells nothing of
// where it began, so d also waits for every transaction prepared after it began.
func Due(d Deferred, open []Deferred) bool {
	if d.Ended {
		return true
	}
	for _, o := range open {
		switch {
		case o.SameCause(d), d.covers(o), o.Kind == HiddenTransaction && d.Several() && d.hides(o.VirtualTransaction):
			return false
		case o.Kind == PreparedTransaction && d.Kind != Gap && d.Kind != PreparedTransaction && !o.Started.Before(d.From):
			return false
		}
	}
	return true
}

// FallenDue returns those of the deferred windows that are due, as they have to
// be rolled up now: one whose transaction may have moved usage reaches to the
// watermark. Memory.Widen remembers that.
func FallenDue(deferred, open []Deferred, watermark time.Time) (due []Deferred) {
	for _, d := range deferred {
		if !Due(d, open) {
			continue
		}
		if d.Moves && !d.Ended {
			d.To = instant.Later(d.To, watermark)
		}
		due = append(due, d)
	}
	return due
}

// Until returns where the rolling up of a window that is due has to end for now,
// and whether that is all of what the watermark has passed. Beyond the horizon
// lies what transactions still open may write; the walk comes to that by
// itself, unless others took the watermark there.
func (d Deferred) Until(horizon, watermark time.Time) (end time.Time, whole bool) {
	end = instant.Earlier(d.To, horizon)
	if d.Kind == OpenTransaction && !d.Moves {
		end = d.To // this one's rows are all there
	}
	return end, !end.Before(instant.Earlier(d.To, watermark))
}

// Again returns what has to be deferred when d, whose transaction has ended, is
// rolled up beside transactions that were not waited for. One of them that moves
// usage has not seen what d's transaction wrote: that is due again when it has
// ended. What others wrote before d was deferred, it has seen.
func Again(d Deferred, notWaitedFor []Deferred) (again []Deferred) {
	if d.Kind == Gap {
		return nil
	}
	for _, o := range notWaitedFor {
		if o.Moves {
			o.From = instant.Earlier(o.From, instant.Later(d.From, d.Wrote))
			again = append(again, o)
		}
	}
	return again
}

// Before returns those of the deferred windows that begin before a point: what
// the watermark, or a pass, leaves behind once it has come there.
func Before(deferred []Deferred, to time.Time) (passed []Deferred) {
	for _, d := range deferred {
		if d.From.Before(to) {
			passed = append(passed, d)
		}
	}
	return passed
}
