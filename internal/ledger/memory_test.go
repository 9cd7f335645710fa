package ledger_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

// at is a time of a day on which everything happens.
func at(hour, minute int) time.Time { return time.Date(2026, 5, 1, hour, minute, 0, 0, time.UTC) }

// never is the zero time: nothing is known.
var never time.Time

func gap(from, to time.Time) ledger.Deferred {
	return ledger.Deferred{Kind: ledger.Gap, From: from, To: to, Description: "the watermark was moved by others"}
}

// session is the window of a transaction open in a session since a time.
func session(pid int32, since time.Time) ledger.Deferred {
	return ledger.Deferred{Kind: ledger.OpenTransaction, From: since, To: since.Add(time.Microsecond), Wrote: since, PID: pid, Started: since}
}

// mover is the window of one that may move usage, from what it has not seen.
func mover(pid int32, since, from time.Time) ledger.Deferred {
	d := session(pid, since)
	d.Moves, d.From = true, from
	return d
}

func prepared(gid string, from, when time.Time) ledger.Deferred {
	return ledger.Deferred{Kind: ledger.PreparedTransaction, From: from, To: when.Add(time.Microsecond), Wrote: from, GID: gid, Started: when, Moves: true}
}

func hidden(vxid string, from, now time.Time) ledger.Deferred {
	return ledger.Deferred{Kind: ledger.HiddenTransaction, From: from, To: now, Wrote: from, PID: 7, VirtualTransaction: vxid}
}

// virtual gives a session's window its virtual transaction.
func virtual(vxid string, d ledger.Deferred) ledger.Deferred {
	d.VirtualTransaction = vxid
	return d
}

func ended(d ledger.Deferred) ledger.Deferred {
	d.Ended = true
	return d
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

func TestAMoveOfTheWatermarkByOthersIsDeferred(t *testing.T) {
	for _, c := range []struct {
		name                           string
		committed, planned, ours, mark time.Time
		want                           []ledger.Deferred
	}{
		{"nothing is known at first sight", never, never, never, at(9, 0), nil},
		{"it stands where we left it", at(9, 0), never, never, at(9, 0), nil},
		{"others moved it ahead", at(9, 0), never, never, at(10, 0), []ledger.Deferred{gap(at(9, 0), at(10, 0))}},
		{"others moved it back", at(9, 0), never, never, at(8, 0), nil},
		{"our planned commit came through, and its answer did not", at(9, 0), at(10, 0), never, at(10, 0), nil},
		{"others moved it past our planned commit", at(9, 0), at(10, 0), never, at(11, 0), []ledger.Deferred{gap(at(9, 0), at(11, 0))}},
		{"the walk knows of a later commit than the memory", at(9, 0), never, at(10, 0), at(11, 0), []ledger.Deferred{gap(at(10, 0), at(11, 0))}},
		{"the walk knows of a commit and the memory of none", never, never, at(10, 0), at(11, 0), []ledger.Deferred{gap(at(10, 0), at(11, 0))}},
		{"the memory knows of a later commit than the walk", at(10, 0), never, at(9, 0), at(11, 0), []ledger.Deferred{gap(at(10, 0), at(11, 0))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := ledger.Memory{Committed: c.committed, Planned: c.planned}
			var got []ledger.Deferred
			if found := m.NoticeMove(c.ours, c.mark); found != nil {
				got = []ledger.Deferred{*found}
			}
			same(t, got, c.want)
			same(t, m, ledger.Memory{Committed: c.mark, Planned: c.planned, Deferred: c.want})
		})
	}
}

func TestDoubtBeginsWhereOthersMayHaveMovedTheWatermark(t *testing.T) {
	for _, c := range []struct {
		name      string
		committed time.Time
		deferred  []ledger.Deferred
		want      time.Time
	}{
		{"nothing is known: all of it is in doubt", never, nil, time.Unix(0, 0)},
		{"the watermark is ours", at(12, 0), nil, at(12, 0)},
		{"the watermark lies after our last commit", at(11, 0), nil, at(11, 0)},
		{"the watermark lies before our last commit", at(13, 0), nil, at(12, 0)},
		{"a gap before it is not rolled up yet", at(12, 0), []ledger.Deferred{gap(at(9, 0), at(10, 0)), gap(at(10, 30), at(11, 0))}, at(9, 0)},
		{"the window of a transaction is no doubt about the watermark", at(12, 0), []ledger.Deferred{session(1, at(9, 0))}, at(12, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := ledger.Memory{Committed: c.committed, Deferred: c.deferred}
			same(t, m.DoubtFrom(at(12, 0)), c.want)
		})
	}
}

func TestAPlannedCommitIsKnownAsOursAfterACrash(t *testing.T) {
	m := ledger.Memory{Committed: at(8, 0)}
	m.Plan(at(9, 0), at(10, 0), false)
	same(t, m, ledger.Memory{Committed: at(8, 0), Planned: at(10, 0)}) // nobody knows who took it to nine
	m.Plan(at(10, 0), at(11, 0), false)
	same(t, m, ledger.Memory{Committed: at(10, 0), Planned: at(11, 0)}) // the commit before came through
	m.Plan(at(10, 30), at(11, 30), true)
	same(t, m, ledger.Memory{Committed: at(10, 30), Planned: at(11, 30)}) // the walk stood there
	same(t, m.NoticeMove(never, at(11, 30)), (*ledger.Deferred)(nil))
}

func TestTheEndOfARunIsNoted(t *testing.T) {
	run := ledger.Run{Started: at(9, 0), Finished: at(9, 1), OK: true, Rows: 3}
	for _, c := range []struct {
		name            string
		watermark, want time.Time
	}{
		{"its last commit is known to have come through", at(10, 0), at(10, 0)},
		{"its last commit did not come through", at(9, 0), at(8, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := ledger.Memory{Committed: at(8, 0), Planned: at(10, 0)}
			m.Finish(run, c.watermark)
			same(t, m, ledger.Memory{Committed: c.want, Planned: at(10, 0), Run: &run})
		})
	}
}

func TestAWatermarkInTheFutureGoesBackToTheLastCommit(t *testing.T) {
	epoch := time.Unix(0, 0)
	for _, c := range []struct {
		name            string
		committed, want time.Time
	}{
		{"nothing is known", never, epoch},
		{"the last commit is past", at(9, 0), at(9, 0)},
		{"the last commit lies in the future too", at(13, 0), epoch},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := ledger.Memory{Committed: c.committed, Planned: at(14, 0)}
			to := m.RewindTo(at(12, 0))
			same(t, to, c.want)
			m.Rewound(to)
			same(t, m, ledger.Memory{Committed: c.want})
		})
	}
}

func TestWhatABackfillsPassLeavesBehind(t *testing.T) {
	left := &ledger.GivenUp{Before: at(5, 0), Events: 9}
	for _, c := range []struct {
		name          string
		before, after ledger.Memory
		all           bool
	}{
		{"a gap within it is settled",
			ledger.Memory{Deferred: []ledger.Deferred{gap(at(7, 0), at(8, 0))}}, ledger.Memory{}, false},
		{"each of several gaps within it is settled",
			ledger.Memory{Deferred: []ledger.Deferred{gap(at(7, 0), at(8, 0)), gap(at(9, 0), at(10, 0)), session(1, at(7, 0)), gap(at(11, 0), at(11, 30))}},
			ledger.Memory{Deferred: []ledger.Deferred{session(1, at(7, 0))}}, false},
		{"a gap that reaches beyond it is settled up to its end",
			ledger.Memory{Deferred: []ledger.Deferred{gap(at(7, 0), at(14, 0))}},
			ledger.Memory{Deferred: []ledger.Deferred{gap(at(12, 0), at(14, 0))}}, false},
		{"a gap that begins before it stays",
			ledger.Memory{Deferred: []ledger.Deferred{gap(at(5, 0), at(8, 0))}},
			ledger.Memory{Deferred: []ledger.Deferred{gap(at(5, 0), at(8, 0))}}, false},
		{"the window of a transaction stays",
			ledger.Memory{Deferred: []ledger.Deferred{session(1, at(7, 0))}},
			ledger.Memory{Deferred: []ledger.Deferred{session(1, at(7, 0))}}, false},
		{"the last commit within it moves to its end, as far as the watermark is",
			ledger.Memory{Committed: at(7, 0)}, ledger.Memory{Committed: at(11, 0)}, false},
		{"a last commit before it stays", ledger.Memory{Committed: at(5, 0)}, ledger.Memory{Committed: at(5, 0)}, false},
		{"a last commit after it stays", ledger.Memory{Committed: at(13, 0)}, ledger.Memory{Committed: at(13, 0)}, false},
		{"an unknown last commit stays unknown", ledger.Memory{}, ledger.Memory{}, true},
		{"what was given up stays so", ledger.Memory{GivenUp: left}, ledger.Memory{GivenUp: left}, false},
		{"a pass over all of history takes back what was given up", ledger.Memory{GivenUp: left}, ledger.Memory{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := c.before
			m.Passed(at(6, 0), at(12, 0), at(11, 0), c.all)
			if len(m.Deferred) == 0 {
				m.Deferred = nil
			}
			same(t, m, c.after)
		})
	}
}

func TestHistoryThatIsGivenUpIsAPlannedWatermark(t *testing.T) {
	var m ledger.Memory
	g := ledger.GivenUp{Before: at(6, 0), Events: 9, At: at(12, 0)}
	m.GiveUp(g)
	same(t, m, ledger.Memory{GivenUp: &g, Planned: at(6, 0)})
}

func TestWindowsAreDeferredOnce(t *testing.T) {
	for _, c := range []struct {
		name        string
		have, add   []ledger.Deferred
		want, added []ledger.Deferred
	}{
		{"one of another transaction is added",
			[]ledger.Deferred{session(1, at(9, 0))}, []ledger.Deferred{session(2, at(9, 0))},
			[]ledger.Deferred{session(1, at(9, 0)), session(2, at(9, 0))}, []ledger.Deferred{session(2, at(9, 0))}},
		{"one of the same transaction is there already",
			[]ledger.Deferred{session(1, at(9, 0))}, []ledger.Deferred{session(1, at(9, 0))},
			[]ledger.Deferred{session(1, at(9, 0))}, nil},
		{"a transaction found to move usage widens its window",
			[]ledger.Deferred{session(1, at(9, 0))}, []ledger.Deferred{mover(1, at(9, 0), at(8, 0))},
			[]ledger.Deferred{mover(1, at(9, 0), at(8, 0))}, nil},
		{"a later transaction of the same session is another",
			[]ledger.Deferred{session(1, at(9, 0))}, []ledger.Deferred{session(1, at(9, 1))},
			[]ledger.Deferred{session(1, at(9, 0)), session(1, at(9, 1))}, []ledger.Deferred{session(1, at(9, 1))}},
		{"of a window that was widened when its transaction ended it is another",
			[]ledger.Deferred{ended(mover(1, at(9, 0), at(8, 0)))}, []ledger.Deferred{session(1, at(9, 0))},
			[]ledger.Deferred{ended(mover(1, at(9, 0), at(8, 0))), session(1, at(9, 0))}, []ledger.Deferred{session(1, at(9, 0))}},
		{"a transaction that was hidden and is seen by now is the same",
			[]ledger.Deferred{hidden("4/17", at(8, 0), at(9, 0))}, []ledger.Deferred{virtual("4/17", session(7, at(8, 30)))},
			[]ledger.Deferred{hidden("4/17", at(8, 0), at(9, 0))}, nil},
		{"an adjoining gap widens the gap",
			[]ledger.Deferred{gap(at(9, 0), at(10, 0))}, []ledger.Deferred{gap(at(10, 0), at(11, 0))},
			[]ledger.Deferred{gap(at(9, 0), at(11, 0))}, nil},
		{"a gap apart is added",
			[]ledger.Deferred{gap(at(9, 0), at(10, 0))}, []ledger.Deferred{gap(at(10, 1), at(11, 0))},
			[]ledger.Deferred{gap(at(9, 0), at(10, 0)), gap(at(10, 1), at(11, 0))}, []ledger.Deferred{gap(at(10, 1), at(11, 0))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := ledger.Memory{Deferred: c.have}
			same(t, m.Defer(c.add...), c.added)
			same(t, m.Deferred, c.want)
		})
	}
}

func TestWhatIsRolledUpAgainIsTakenFromItsWindowAlone(t *testing.T) {
	windows := func() []ledger.Deferred {
		return []ledger.Deferred{gap(at(8, 0), at(9, 0)), mover(1, at(9, 0), at(8, 0)), session(2, at(9, 0))}
	}
	for _, c := range []struct {
		name string
		d    ledger.Deferred
		upTo time.Time
		want []ledger.Deferred
	}{
		{"a part of a gap", windows()[0], at(8, 30), []ledger.Deferred{gap(at(8, 30), at(9, 0)), windows()[1], windows()[2]}},
		{"the whole of a gap", windows()[0], at(9, 0), windows()[1:]},
		{"a part of a transaction's window", windows()[1], at(8, 30), []ledger.Deferred{windows()[0], mover(1, at(9, 0), at(8, 30)), windows()[2]}},
		{"the whole of a transaction's window", windows()[2], windows()[2].To, windows()[:2]},
		{"a window that was widened meanwhile stays", gap(at(8, 0), at(8, 45)), at(8, 45), windows()},
		{"nothing of it yet", windows()[0], at(7, 0), windows()},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := ledger.Memory{Deferred: windows()}
			m.Settle(c.d, c.upTo)
			same(t, m.Deferred, c.want)
		})
	}
}

// TestTheFilesKeepTheirKeys: what an earlier version wrote is read.
func TestTheFilesKeepTheirKeys(t *testing.T) {
	const old = `{"version":1,"database":"d","truth":"2026-05-01T09:00:00Z","intent":"2026-05-01T10:00:00Z",` +
		`"debts":[{"kind":"gap","from":"2026-05-01T07:00:00Z","to":"2026-05-01T08:00:00Z","description":"the watermark was moved by others"}]}`
	var m ledger.Memory
	if err := json.Unmarshal([]byte(old), &m); err != nil {
		t.Fatal(err)
	}
	same(t, m, ledger.Memory{Origin: ledger.Origin{Version: 1, Database: "d"}, Committed: at(9, 0), Planned: at(10, 0), Deferred: []ledger.Deferred{gap(at(7, 0), at(8, 0))}})
	again, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	same(t, string(again), old)
}
