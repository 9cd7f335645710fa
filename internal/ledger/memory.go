package ledger

import (
	"slices"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/instant"
)

// Memory is what the agent remembers of one database.
type Memory struct {
	Origin
	Committed time.Time  `json:"truth,omitzero"`  // last committed watermark: everything before it was rolled up by this agent or found so
	Planned   time.Time  `json:"intent,omitzero"` // the watermark that the slice under way will commit
	Deferred  []Deferred `json:"debts,omitempty"`
	GivenUp   *GivenUp   `json:"given_up,omitempty"`
	Drift     *Drift     `json:"drift,omitempty"`
	Run       *Run       `json:"run,omitempty"`

	Life // of the database in which all of this was learned
}

// Life is what is known of one life of a database: what tells it from others, and what was proven in it.
type Life struct {
	Incarnation *Incarnation `json:"incarnation,omitempty"` // nil: nothing was learned yet
	Witnesses   []Witness    `json:"witnesses,omitempty"`   // in the order of their commits
	Proven      Proven       `json:"proven,omitempty"`      // bucket hours that were reconciled with raw usage
	Clock       *Clock       `json:"clock,omitempty"`       // when this was saved last
	Notices     []Notice     `json:"notices,omitempty"`     // what was noticed of the database, the newest last
}

// epoch is where a watermark that nothing is known of starts.
var epoch = time.Unix(0, 0)

// NoticeMove compares the watermark with what this agent committed last: what it
// remembers, or ours where that is later (zero where the caller knows none).
// Where others have moved it ahead, the gap between is deferred and returned:
// upstream's migration hook stamps the watermark without rolling up.
func (m *Memory) NoticeMove(ours, mark time.Time) (gap *Deferred) {
	committed := instant.Later(m.Committed, ours)
	// At first sight there is nothing to compare with: verify tells whether it is true.
	if !committed.IsZero() && mark.After(committed) && !mark.Equal(m.Planned) {
		gap = &Deferred{Kind: Gap, From: committed, To: mark, Description: "the watermark was moved by others"}
		m.Defer(*gap)
	}
	m.Committed = mark
	return gap
}

// DoubtFrom returns from where on others may have moved the watermark without
// our having rolled up what it passed: the watermark itself where nobody has.
// It is the beginning where nothing is known.
func (m *Memory) DoubtFrom(mark time.Time) time.Time {
	mark = instant.Earlier(mark, m.Committed)
	if m.Committed.IsZero() {
		mark = epoch
	}
	for _, d := range m.Deferred {
		if d.Kind == Gap {
			mark = instant.Earlier(mark, d.From)
		}
	}
	return mark
}

// Plan notes, before a commit, that it takes the watermark from mark to a point:
// after any crash, a watermark that we moved is known as ours. trusted says that
// everything before mark is known to be rolled up.
func (m *Memory) Plan(mark, to time.Time, trusted bool) {
	if trusted || mark.Equal(m.Planned) {
		m.Committed = mark
	}
	m.Planned = to
}

// Finish notes how a run went, and where it left the watermark.
func (m *Memory) Finish(run Run, watermark time.Time) {
	if m.Planned.Equal(watermark) {
		m.Committed = m.Planned
	}
	run.Error = cut(run.Error, mostError)
	m.Run = &run
}

// RewindTo returns where a watermark in the future has to go back to, given the
// database's clock: the last committed watermark, or the beginning where that is
// unknown or lies in the future too.
func (m *Memory) RewindTo(now time.Time) time.Time {
	if m.Committed.IsZero() || m.Committed.After(now) {
		return epoch
	}
	return m.Committed
}

// Rewound notes that the watermark was taken back.
func (m *Memory) Rewound(to time.Time) { m.Committed, m.Planned = to, time.Time{} }

// GiveUp notes, before the commit, that the watermark passes over history that is left out.
func (m *Memory) GiveUp(g GivenUp) { m.GivenUp, m.Planned = &g, g.Before }

// Passed notes that a backfill's pass over [from, to) is done: the gaps that
// begin within it are settled as far as it went, and where the last committed
// watermark lay within it, all up to its end is rolled up. A pass over all of
// history takes back what an earlier one gave up.
func (m *Memory) Passed(from, to, watermark time.Time, all bool) {
	for _, d := range slices.Clone(m.Deferred) { // settling one moves the others up
		if d.Kind == Gap && !d.From.Before(from) {
			m.Settle(d, instant.Earlier(d.To, to))
		}
	}
	if !m.Committed.IsZero() && m.Committed.Before(to) && !m.Committed.Before(from) {
		m.Committed = instant.Earlier(to, watermark)
	}
	if all {
		m.GivenUp = nil
	}
}

// Defer adds windows, widening one with the same cause or an adjoining gap
// instead where there is one. It returns those that were added. What is
// remembered is bounded: the oldest windows become few, and nothing is lost.
func (m *Memory) Defer(windows ...Deferred) (added []Deferred) {
	for _, d := range windows {
		d.Description = cut(d.Description, mostText)
		if !m.widenFor(d) {
			m.Deferred = append(m.Deferred, d)
			added = append(added, d)
		}
	}
	m.Deferred = bounded(m.Deferred, MostDeferred)
	return added
}

// widenFor has a window that d belongs to reach over d too, and says whether there is one.
func (m *Memory) widenFor(d Deferred) bool {
	for i := range m.Deferred {
		o := &m.Deferred[i]
		adjoins := o.Kind == Gap && d.Kind == Gap && !d.From.After(o.To) && !o.From.After(d.To)
		if !adjoins && (o.Ended || !o.SameCause(d) && !o.covers(d)) {
			continue
		}
		o.From, o.To, o.Wrote = instant.Earlier(d.From, o.From), instant.Later(d.To, o.To), instant.Earlier(d.Wrote, o.Wrote)
		o.Moves = o.Moves || d.Moves
		return true
	}
	return false
}

// Widen has the windows with d's cause, whose transaction has ended, reach to the watermark where it may have moved usage.
func (m *Memory) Widen(d Deferred, watermark time.Time) {
	for i := range m.Deferred {
		o := &m.Deferred[i]
		if o.Moves && !o.Ended && o.SameCause(d) {
			o.Ended, o.To = true, instant.Later(watermark, o.To)
		}
	}
}

// Settle notes that d is rolled up again up to a point: that much is taken from
// the windows equal to d in cause and end, and what is rolled up whole is removed.
func (m *Memory) Settle(d Deferred, upTo time.Time) {
	same := func(o Deferred) bool {
		return o.Kind == d.Kind && o.To.Equal(d.To) && (o.Kind == Gap || o.SameCause(d))
	}
	m.Deferred = slices.DeleteFunc(m.Deferred, func(o Deferred) bool { return same(o) && !upTo.Before(o.To) })
	for i := range m.Deferred {
		if o := &m.Deferred[i]; same(*o) {
			o.From = instant.Later(upTo, o.From)
		}
	}
}

// Meet notes the first contact with a database, at a time by its clock. Nothing of what is there is trusted: the hours that
// somebody may have rolled up are unproven, and all others are empty.
func (m *Memory) Meet(mark time.Time, unproven *Range, now time.Time) {
	m.Committed = mark
	m.Proven = Proven{{At: now}}
	text := "the hourly table was empty"
	if unproven != nil {
		m.Proven = m.Proven.Withdraw(*unproven)
		text = "others had rolled it up before"
	}
	m.Notice(now, FirstContact, text)
}

// SteppedBack notes that the watermark was taken back with the database's clock. Where nobody knows how far that went, nothing is proven any more.
func (m *Memory) SteppedBack(to time.Time, clock Clock, unknown bool) {
	m.Rewound(to)
	m.Clock = &clock
	if unknown {
		m.Proven = nil
	}
}
