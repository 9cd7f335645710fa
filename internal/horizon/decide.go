package horizon

import (
	"fmt"
	"slices"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/instant"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

// Rules say how a snapshot is judged.
type Rules struct {
	// Since is the watermark, or where the doubt about it begins: from there on usage may have to be
	// rolled up again when a transaction that moves usage ends.
	Since time.Time
	// Delay is the commit lag: how far the horizon trails the clock.
	Delay time.Duration
	// Hold is the longest that one transaction may hold the horizon back; negative means for ever
	// (there is nowhere to remember a deferred window).
	Hold time.Duration
}

// Horizon is up to where the watermark may go, as of one moment. It stays true
// ever after: who starts a transaction later writes later event times.
type Horizon struct {
	Now  time.Time // the database's clock
	At   time.Time // rows with events before it are committed, or lie in Deferred
	Held string    // what holds it back; empty where nothing does
	// Deferred are the windows of transactions that it was not held back for, or not as far as they
	// reach: deferred once the watermark passes From.
	Deferred []ledger.Deferred
	// Open are the windows of all transactions that were open, for finding out which deferred ones fell due.
	Open []ledger.Deferred
	// Hidden counts the sessions whose transactions our role may not see.
	Hidden int
	// Untracked counts the open transactions that nobody can date, since their sessions have track_activities off.
	Untracked int
	// Moving says that a transaction may move usage to other keys, and that nothing is rolled up beside it.
	Moving bool
}

// verdict is what one open transaction means for the horizon.
type verdict struct {
	window   ledger.Deferred
	holds    bool      // the horizon is held back for it
	back     time.Time // to there
	deferred bool      // its window is deferred once the watermark has passed its beginning
	moving   bool      // usage may be moved that nothing is rolled up beside, as long as the horizon is held back all the way
}

// Decide judges what was open when s was read. It is pure: the same snapshot
// and rules always give the same horizon.
func Decide(s Snapshot, r Rules) Horizon {
	h := Horizon{Now: s.Now, At: storable(s.Now.Add(-r.Delay))}
	open := map[int32]Transaction{}
	for _, tx := range s.Open {
		open[tx.PID] = tx
	}
	old := h.At
	for _, t := range s.Sessions {
		tx, isOpen := open[t.PID]
		if t.Unseen == HiddenFromRole {
			h.Hidden++
		}
		switch {
		case isOpen && t.Unseen == Seen:
			h.add(r.session(t, tx, s.Now))
		case isOpen:
			if t.Unseen == Untracked {
				h.Untracked++
			}
			h.add(r.unseen(t, tx, s))
		case t.Unseen == Seen && t.Started.Before(old):
			// It ended while it was looked at. Who began to move usage, or made its snapshot, just
			// before that has not seen what it wrote: that is rolled up again by the next run.
			t.Snapshot = false
			h.add(r.session(t, Transaction{}, s.Now))
		}
	}
	for _, p := range s.Prepared {
		h.add(r.prepared(p, s.Now))
	}
	h.Moving = h.Moving && !h.At.After(r.Since)
	h.Deferred = slices.DeleteFunc(h.Deferred, func(d ledger.Deferred) bool {
		ahead := !d.From.Before(h.At) && !d.From.Before(r.Since) // the watermark has not come to it, and will not
		return d.Kind == ledger.OpenTransaction && !d.Moves && ahead
	})
	return h
}

func (h *Horizon) add(v verdict) {
	h.Open = append(h.Open, v.window)
	if v.deferred {
		h.Deferred = append(h.Deferred, v.window)
	}
	if v.holds && v.back.Before(h.At) {
		h.At, h.Held = v.back, v.window.Description
	}
	h.Moving = h.Moving || v.moving
}

// forever says that a transaction holds the horizon back as long as it is open.
func (r Rules) forever() bool { return r.Hold < 0 }

// holdsFor says whether the horizon is held back for a transaction of an age.
func (r Rules) holdsFor(age time.Duration) bool { return r.forever() || age <= r.Hold }

// session judges a transaction that is open in a session. Its rows carry the
// instant of its beginning.
//
// Who holds no lock to write to a source table has written nothing to it, and
// may never do so: the horizon passes it, and the instant of its beginning is
// rolled up again when it has ended. One that writes is waited for, unless the
// watermark has passed its beginning already: then waiting brings nothing.
//
// Usage that others commit after the triggers of one that moves usage have
// looked is in no key that they queue. Beside one that is open for longer than
// the commit lag that may be any usage: nothing newer than since is rolled up
// while it is open, or all of it again when it has ended. Beside a shorter one
// it is usage of a transaction that was itself open for so long. That is rare,
// and short ones are always about: what is rolled up beside them is rolled up again.
//
// The triggers look with the transaction's snapshot: in READ COMMITTED that of
// the moment, so who moves nothing yet has missed nothing. In REPEATABLE READ
// it is that of its first statement, however late it moves usage; so whoever
// held a snapshot when it was looked at, between statements or in one, which
// may be either, is taken for one that moves usage. It need not be old: its
// snapshot lacks what a transaction writes that began before the horizon and
// commits a moment after the snapshot was made. That usage is rolled up into
// the key of before, the triggers will not queue it, and the transaction it
// came from has ended and is in no window. So a young one counts too, if it
// is still there after the looks: what ends sooner has queued its keys before
// anything is rolled up. One whose snapshot is made after the sessions were
// read needs no window: what it lacks is written by a transaction that was
// open then, is waited for or deferred itself, and is rolled up again beside
// whoever moves usage by then (ledger.Again).
func (r Rules) session(t Session, tx Transaction, now time.Time) verdict {
	age := now.Sub(t.Started)
	v := verdict{back: t.Started, window: ledger.Deferred{
		Kind: ledger.OpenTransaction, From: t.Started, To: after(t.Started), Wrote: t.Started,
		PID: t.PID, BackendStart: t.BackendStart, Started: t.Started, VirtualTransaction: tx.VirtualTransaction,
		Moves:       tx.Moves || t.Snapshot,
		Description: fmt.Sprintf("pid %d (%s), open since %s", t.PID, t.Who, instant.Stamp(t.Started)),
	}}
	waits := tx.Moves || tx.Writes && !t.Started.Before(r.Since)
	v.holds = r.forever() || waits && r.holdsFor(age)
	v.deferred = v.window.Moves || !v.holds
	if v.window.Moves {
		v.window.From = instant.Earlier(t.Started, r.Since)
	}
	if tx.Moves && (age > r.Delay || r.forever()) {
		v.back, v.moving = v.window.From, v.holds
	}
	if !r.forever() { // one that moves usage may be followed by the next before it has ended
		v.back = instant.Later(v.back, storable(now.Add(-r.Hold)))
	}
	return v
}

// prepared judges a prepared transaction. When it began is not recorded, so its
// rows may carry anything from since to its preparation.
func (r Rules) prepared(p Prepared, now time.Time) verdict {
	v := verdict{holds: r.holdsFor(now.Sub(p.Prepared)), back: r.Since, deferred: !r.forever(), window: ledger.Deferred{
		Kind: ledger.PreparedTransaction, From: r.Since, To: after(p.Prepared), Wrote: r.Since,
		GID: p.GID, Started: p.Prepared, Moves: true,
		Description: fmt.Sprintf("prepared transaction %q of %s, since %s", p.GID, p.Owner, instant.Stamp(p.Prepared)),
	}}
	v.moving = v.holds
	if !r.forever() {
		v.back = instant.Later(r.Since, p.Prepared.Add(-r.Hold))
	}
	return v
}

// unseen judges a transaction whose start cannot be seen. It is unknown, not
// absent, also where it has written nothing yet: what it may have begun within
// the hold before since is deferred. Where nothing can be remembered it is waited for.
func (r Rules) unseen(t Session, tx Transaction, s Snapshot) verdict {
	from := instant.Later(instant.Later(s.Postmaster, t.BackendStart), r.Since.Add(-max(r.Hold, 0)))
	v := verdict{deferred: true, holds: r.forever(), back: r.Since, window: ledger.Deferred{
		Kind: ledger.HiddenTransaction, From: from, To: s.Now, Wrote: from,
		PID: t.PID, VirtualTransaction: tx.VirtualTransaction, Moves: tx.Moves || t.Snapshot,
		Description: fmt.Sprintf("pid %d, whose start our role may not see", t.PID),
	}}
	if t.Unseen == Untracked {
		v.window.Description = fmt.Sprintf("pid %d (%s), which has track_activities off", t.PID, t.Who)
	}
	if v.window.Moves {
		v.window.From = instant.Earlier(from, r.Since)
	}
	v.moving = v.holds && tx.Moves
	return v
}

// storable cuts a time to what the database can store: a watermark that goes
// there has to be recognised as ours.
func storable(t time.Time) time.Time { return t.Truncate(time.Microsecond) }

// after is the end of a window that holds a single instant.
func after(t time.Time) time.Time { return t.Add(time.Microsecond) }
