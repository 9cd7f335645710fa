package ledger_test

import (
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

func TestAWindowIsDueWhenWhatItWaitsForHasEnded(t *testing.T) {
	nine := session(1, at(9, 0))
	isHidden := hidden("4/17", at(8, 30), at(9, 5))
	for _, c := range []struct {
		name string
		d    ledger.Deferred
		open []ledger.Deferred
		want bool
	}{
		{"no transaction is open", nine, nil, true},
		{"its transaction is open", nine, []ledger.Deferred{session(2, at(8, 0)), nine}, false},
		{"its session has begun another", nine, []ledger.Deferred{session(1, at(9, 5))}, true},
		{"a transaction was prepared after it began, it may be its own", nine, []ledger.Deferred{prepared("p", at(8, 0), at(9, 5))}, false},
		{"a transaction was prepared before it began", nine, []ledger.Deferred{prepared("p", at(8, 0), at(8, 59))}, true},
		{"its prepared transaction is there", prepared("p", at(8, 0), at(9, 0)), []ledger.Deferred{prepared("p", at(8, 0), at(9, 0))}, false},
		{"a prepared transaction is never prepared again", prepared("p", at(8, 0), at(9, 0)), []ledger.Deferred{prepared("q", at(8, 0), at(9, 5))}, true},
		{"its hidden writer is there", hidden("4/17", at(8, 0), at(9, 0)), []ledger.Deferred{hidden("4/17", at(8, 30), at(9, 5))}, false},
		{"another hidden writer is there", hidden("4/17", at(8, 0), at(9, 0)), []ledger.Deferred{hidden("4/18", at(8, 30), at(9, 5))}, true},
		{"its transaction is hidden by now", virtual("4/17", session(7, at(9, 0))), []ledger.Deferred{isHidden}, false},
		{"its transaction was hidden and is seen by now", isHidden, []ledger.Deferred{virtual("4/17", session(7, at(8, 30)))}, false},
		{"its transaction was remembered without its virtual one", nine, []ledger.Deferred{virtual("1/17", nine)}, false},
		{"its session is in another virtual transaction", virtual("1/16", nine), []ledger.Deferred{virtual("1/17", nine)}, true},
		{"another session is in that virtual transaction since the server started anew", virtual("4/17", session(8, at(9, 0))), []ledger.Deferred{isHidden}, true},
		{"a gap waits for nothing", gap(at(8, 0), at(9, 0)), []ledger.Deferred{nine, prepared("p", at(8, 0), at(9, 5))}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ledger.Due(c.d, c.open); got != c.want {
				t.Errorf("due is %t, want %t", got, c.want)
			}
		})
	}
}

func TestAWindowThatMayHaveMovedUsageReachesToTheWatermark(t *testing.T) {
	reader, move, open := session(1, at(9, 0)), mover(2, at(9, 0), at(8, 0)), mover(3, at(9, 0), at(8, 0))
	m := ledger.Memory{Deferred: []ledger.Deferred{reader, move, open}}
	due := ledger.FallenDue(m.Deferred, []ledger.Deferred{open}, at(11, 0))
	wide := move
	wide.To = at(11, 0)
	same(t, due, []ledger.Deferred{reader, wide})
	for _, d := range due {
		m.Widen(d, at(11, 0))
	}
	wide.Ended = true
	same(t, m.Deferred, []ledger.Deferred{reader, wide, open})

	early := ledger.FallenDue([]ledger.Deferred{move}, nil, at(7, 0))
	same(t, early, []ledger.Deferred{move}) // a watermark before it takes nothing away
}

// TestAnInterruptedSettlingStaysWithinTheHorizon: usage that others wrote beside a transaction that moves it is not
// all there because that one has ended.
func TestAnInterruptedSettlingStaysWithinTheHorizon(t *testing.T) {
	m := ledger.Memory{Deferred: []ledger.Deferred{mover(2, at(9, 0), at(8, 0))}}
	m.Widen(m.Deferred[0], at(11, 0))
	// The next run comes to it: a transaction was prepared meanwhile, and the watermark went on.
	due := ledger.FallenDue(m.Deferred, []ledger.Deferred{prepared("p", at(8, 0), at(11, 5))}, at(12, 0))
	if len(due) != 1 || !due[0].To.Equal(at(11, 0)) {
		t.Fatalf("due is %+v, want the window up to where the watermark was when its transaction ended", due)
	}
	end, whole := due[0].Until(at(10, 0), at(12, 0))
	same(t, end, at(10, 0))
	same(t, whole, false)
	m.Settle(due[0], end)
	rest := mover(2, at(9, 0), at(10, 0))
	rest.To, rest.Ended = at(11, 0), true
	same(t, m.Deferred, []ledger.Deferred{rest})
}

func TestUpToWhereAWindowIsRolledUpAgain(t *testing.T) {
	for _, c := range []struct {
		name               string
		d                  ledger.Deferred
		horizon, watermark time.Time
		end                time.Time
		whole              bool
	}{
		{"all of it lies before the horizon", gap(at(8, 0), at(9, 0)), at(10, 0), at(9, 0), at(9, 0), true},
		{"others took the watermark beyond the horizon", gap(at(8, 0), at(11, 0)), at(10, 0), at(11, 0), at(10, 0), false},
		{"beyond the horizon the walk comes to it", gap(at(8, 0), at(11, 0)), at(10, 0), at(10, 0), at(10, 0), true},
		{"the rows of a transaction that has ended are all there", session(1, at(10, 30)), at(10, 0), at(11, 0), session(1, at(10, 30)).To, true},
		{"of one that may move usage only up to the horizon", mover(1, at(10, 30), at(8, 0)), at(10, 0), at(11, 0), at(10, 0), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			end, whole := c.d.Until(c.horizon, c.watermark)
			same(t, end, c.end)
			same(t, whole, c.whole)
		})
	}
}

func TestWhatIsDeferredAgainBesideTransactionsThatMoveUsage(t *testing.T) {
	from := func(d ledger.Deferred, t time.Time) ledger.Deferred { d.From = t; return d }
	for _, c := range []struct {
		name string
		d    ledger.Deferred
		open []ledger.Deferred
		want []ledger.Deferred
	}{
		{"none is open", session(1, at(9, 0)), nil, nil},
		{"one that moves nothing", session(1, at(9, 0)), []ledger.Deferred{session(2, at(9, 30))}, nil},
		{"one that moves usage has not seen what this one wrote", session(1, at(9, 0)), []ledger.Deferred{mover(2, at(9, 30), at(9, 20))},
			[]ledger.Deferred{from(mover(2, at(9, 30), at(9, 20)), at(9, 0))}},
		{"its window reaches back far enough", session(1, at(9, 0)), []ledger.Deferred{mover(2, at(9, 30), at(8, 0))}, []ledger.Deferred{mover(2, at(9, 30), at(8, 0))}},
		{"what others wrote before this one was deferred it has seen", mover(1, at(9, 0), at(7, 0)), []ledger.Deferred{mover(2, at(9, 30), at(9, 20))},
			[]ledger.Deferred{from(mover(2, at(9, 30), at(9, 20)), at(9, 0))}},
		{"a gap is no transaction", gap(at(8, 0), at(9, 0)), []ledger.Deferred{mover(2, at(9, 30), at(9, 20))}, nil},
	} {
		t.Run(c.name, func(t *testing.T) { same(t, ledger.Again(c.d, c.open), c.want) })
	}
}

func TestOnlyWindowsThatBeginBeforeAPointAreLeftBehind(t *testing.T) {
	all := []ledger.Deferred{session(1, at(9, 0)), session(2, at(10, 0)), session(3, at(11, 0))}
	same(t, ledger.Before(all, at(10, 0)), all[:1])
	same(t, ledger.Before(all, at(10, 1)), all[:2])
	same(t, ledger.Before(all, at(9, 0)), []ledger.Deferred(nil))
}
