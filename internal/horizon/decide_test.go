package horizon_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multica-rollup/multica-rollup/internal/horizon"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

// In every row it is noon, and the server has been up since midnight. Unless a row says otherwise,
// the watermark is at 11:50, the commit lag is five minutes, and the longest hold is an hour.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// clock is a time of this day: 15:04, with or without seconds and their fractions.
func clock(text string) time.Time {
	layout := "2006-01-02 15:04:05"
	if len(text) == len("15:04") {
		layout = "2006-01-02 15:04"
	}
	t, err := time.Parse(layout, "2026-05-01 "+text)
	if err != nil {
		panic(err)
	}
	return t
}

// fact is something that is open in the database, or a rule that a row changes.
type fact func(*horizon.Snapshot, *horizon.Rules)

// in is a session that is in a transaction, as far as pg_stat_activity knows; that may have ended since.
func in(pid int32, since string) fact {
	return func(s *horizon.Snapshot, _ *horizon.Rules) {
		s.Sessions = append(s.Sessions, horizon.Session{PID: pid, BackendStart: clock("00:01"), Started: clock(since), Who: "psql of ann"})
	}
}

// running is the transaction of a session.
func running(pid int32, writes, moves bool) fact {
	return func(s *horizon.Snapshot, _ *horizon.Rules) {
		s.Open = append(s.Open, horizon.Transaction{PID: pid, VirtualTransaction: fmt.Sprintf("%d/1", pid), Writes: writes, Moves: moves})
	}
}

func both(facts ...fact) fact {
	return func(s *horizon.Snapshot, r *horizon.Rules) {
		for _, f := range facts {
			f(s, r)
		}
	}
}

// snapshot has the session read last hold one.
func snapshot(s *horizon.Snapshot, _ *horizon.Rules) { s.Sessions[len(s.Sessions)-1].Snapshot = true }

// reads is an open transaction that has written nothing to the source tables, uses one that writes usage, moves one
// that writes to tasks or issues. They are known to be READ COMMITTED; of one that holds a snapshot that is unknown.
func reads(pid int32, since string) fact { return both(in(pid, since), running(pid, false, false)) }
func uses(pid int32, since string) fact  { return both(in(pid, since), running(pid, true, false)) }
func moves(pid int32, since string) fact { return both(in(pid, since), running(pid, true, true)) }
func holding(f fact) fact                { return both(f, snapshot) }

// hidden is a session that our role may not see, untracked one that has track_activities off.
func hidden(pid int32) fact {
	return func(s *horizon.Snapshot, _ *horizon.Rules) {
		s.Sessions = append(s.Sessions, horizon.Session{PID: pid, Who: "session of bob", Unseen: horizon.HiddenFromRole})
	}
}

func untracked(pid int32, connected string) fact {
	return func(s *horizon.Snapshot, _ *horizon.Rules) {
		s.Sessions = append(s.Sessions, horizon.Session{PID: pid, BackendStart: clock(connected), Who: "app of bob", Unseen: horizon.Untracked})
	}
}

// What a hidden session does: it is in a transaction, writes usage, or writes to tasks or issues.
func idles(pid int32) fact      { return running(pid, false, false) }
func writes(pid int32) fact     { return running(pid, true, false) }
func rearranges(pid int32) fact { return running(pid, true, true) }

func prepared(gid, when string) fact {
	return func(s *horizon.Snapshot, _ *horizon.Rules) {
		s.Prepared = append(s.Prepared, horizon.Prepared{GID: gid, Prepared: clock(when), Owner: "ann"})
	}
}

func watermark(at string) fact {
	return func(_ *horizon.Snapshot, r *horizon.Rules) { r.Since = clock(at) }
}
func lag(d time.Duration) fact { return func(_ *horizon.Snapshot, r *horizon.Rules) { r.Delay = d } }
func hold(d time.Duration) fact {
	return func(_ *horizon.Snapshot, r *horizon.Rules) { r.Hold = d }
}
func started(at string) fact { // the server
	return func(s *horizon.Snapshot, _ *horizon.Rules) { s.Postmaster = clock(at) }
}

const forever = -time.Hour // any negative hold

// given is a row's facts. What comes first in the order of reading comes first here.
type given []fact

func (g given) decide() (horizon.Snapshot, horizon.Horizon) {
	s := horizon.Snapshot{Now: noon, Postmaster: clock("00:00")}
	r := horizon.Rules{Since: clock("11:50"), Delay: 5 * time.Minute, Hold: time.Hour}
	for _, f := range g {
		f(&s, &r)
	}
	return s, horizon.Decide(s, r)
}

// short renders windows: what each waits for, where it begins and ends, and whether it moves usage.
func short(windows []ledger.Deferred) string {
	var out []string
	for _, d := range windows {
		who := fmt.Sprintf("pid %d", d.PID)
		switch d.Kind {
		case ledger.PreparedTransaction:
			who = d.GID
		case ledger.HiddenTransaction:
			who = "hidden " + d.VirtualTransaction
		}
		instant := ""
		if d.To.Sub(d.From) == time.Microsecond {
			instant = d.From.Format("15:04")
		} else {
			instant = d.From.Format("15:04") + "–" + d.To.Truncate(time.Second).Format("15:04")
		}
		if d.Moves {
			instant += " moves"
		}
		out = append(out, who+" "+instant)
	}
	return strings.Join(out, ", ")
}

func TestTheHorizon(t *testing.T) {
	for _, c := range []struct {
		name     string
		given    given
		at       string // the horizon
		held     string // by whom; "" where it trails the clock by the commit lag
		deferred string // windows
		moving   bool
	}{
		// Nothing is open.
		{"it trails the clock by the commit lag", given{}, "11:55", "", "", false},
		{"the commit lag is the rules'", given{lag(time.Hour)}, "11:00", "", "", false},
		{"it is cut to what the database can store", given{lag(time.Nanosecond)}, "11:59:59.999999", "", "", false},
		{"it may lie before the watermark", given{watermark("11:59")}, "11:55", "", "", false},

		// Transactions in sessions that have written nothing: the horizon passes them.
		{"a reader younger than the commit lag changes nothing", given{reads(1, "11:56")}, "11:55", "", "", false},
		{"one just as old as the commit lag changes nothing", given{reads(1, "11:55")}, "11:55", "", "", false},
		{"the instant of an older one is deferred at once", given{reads(1, "11:54")}, "11:55", "", "pid 1 11:54", false},
		{"a dump of hours, too", given{reads(1, "03:00"), reads(2, "11:40")}, "11:55", "", "pid 1 03:00, pid 2 11:40", false},
		{"one that began before the watermark has been passed and is deferred", given{watermark("11:50"), reads(1, "11:40")}, "11:55", "", "pid 1 11:40", false},
		{"what a writer holds it back for is not passed", given{watermark("11:00"), reads(1, "11:40"), uses(2, "11:20")}, "11:20", "pid 2", "", false},
		{"one that began after the clock was read changes nothing", given{hold(0), lag(0), reads(1, "12:01")}, "12:00", "", "", false},
		{"where nothing can be remembered, it is held back for a reader for ever", given{hold(forever), reads(1, "03:00")}, "03:00", "pid 1", "", false},
		{"a young one that the watermark has passed is deferred", given{watermark("11:58"), reads(1, "11:57")}, "11:55", "", "pid 1 11:57", false},
		{"where nothing can be remembered, a young reader changes nothing", given{hold(forever), reads(1, "11:59")}, "11:55", "", "", false},

		// Transactions in sessions that write usage: they hold it back.
		{"a writer younger than the commit lag changes nothing", given{uses(1, "11:56")}, "11:55", "", "", false},
		{"one just as old as the commit lag changes nothing, either", given{uses(1, "11:55")}, "11:55", "", "", false},
		{"an older one holds it back to its beginning", given{uses(1, "11:52")}, "11:52", "pid 1", "", false},
		{"one as old as the watermark holds it back", given{uses(1, "11:50")}, "11:50", "pid 1", "", false},
		{"for one that began before the watermark waiting brings nothing", given{uses(1, "11:40")}, "11:55", "", "pid 1 11:40", false},
		{"the oldest of several holds it back", given{watermark("11:00"), uses(1, "11:40"), uses(2, "11:20"), uses(3, "11:30")}, "11:20", "pid 2", "", false},
		{"of two just as old the first is named", given{watermark("11:00"), uses(1, "11:40"), uses(2, "11:40")}, "11:40", "pid 1", "", false},
		{"one as old as the hold is still waited for", given{watermark("11:00"), uses(1, "11:00")}, "11:00", "pid 1", "", false},
		{"one that outlived the hold is deferred", given{watermark("10:00"), uses(1, "10:59")}, "11:55", "", "pid 1 10:59", false},
		{"one that outlived the hold leaves the next to hold", given{watermark("10:00"), uses(1, "10:59"), uses(2, "11:30")}, "11:30", "pid 2", "pid 1 10:59", false},
		{"without a hold every one is deferred at once", given{hold(0), uses(1, "11:59"), uses(2, "11:54")}, "11:55", "", "pid 2 11:54", false},
		{"where nothing can be remembered, it is held back for ever", given{hold(forever), uses(1, "03:00")}, "03:00", "pid 1", "", false},

		// Those that ended while they were looked at.
		{"one that ended is nothing", given{in(1, "11:56")}, "11:55", "", "", false},
		{"with a snapshot that it held, too", given{holding(in(1, "11:56"))}, "11:55", "", "", false},
		{"the instant of an old one that ended is deferred: others may not have seen what it wrote", given{in(1, "11:52")}, "11:55", "", "pid 1 11:52", false},
		{"and no more than that", given{holding(in(1, "11:52"))}, "11:55", "", "pid 1 11:52", false},

		// Those that may not be READ COMMITTED.
		{"a young one that holds a snapshot is taken for one that moves usage", given{holding(reads(1, "11:57"))}, "11:55", "", "pid 1 11:50–11:57 moves", false},
		{"so is an old one, and is not waited for", given{holding(reads(1, "11:52"))}, "11:55", "", "pid 1 11:50–11:52 moves", false},
		{"so is a dump", given{holding(reads(1, "03:00"))}, "11:55", "", "pid 1 03:00 moves", false},
		{"of one that writes usage, too, what is rolled up beside it is rolled up again", given{holding(uses(1, "11:52"))}, "11:52", "pid 1", "pid 1 11:50–11:52 moves", false},
		{"one that does move usage is waited for as any", given{holding(moves(1, "11:52"))}, "11:50", "pid 1", "pid 1 11:50–11:52 moves", true},
		{"where nothing can be remembered, it is held back as for a reader", given{hold(forever), holding(reads(1, "11:52"))}, "11:52", "pid 1", "pid 1 11:50–11:52 moves", false},

		// Transactions that may move usage to other keys.
		{"a young one that moves usage does not hold it back, but all since the watermark is rolled up again", given{moves(1, "11:57")}, "11:55", "", "pid 1 11:50–11:57 moves", false},
		{"of a young one older than the watermark the instant of its beginning is enough", given{watermark("11:58"), moves(1, "11:57")}, "11:55", "", "pid 1 11:57 moves", false},
		{"one that moves usage and is just as old as the commit lag is a young one", given{moves(1, "11:55")}, "11:55", "", "pid 1 11:50–11:55 moves", false},
		{"beside one older than the commit lag nothing after the watermark is rolled up", given{moves(1, "11:52")}, "11:50", "pid 1", "pid 1 11:50–11:52 moves", true},
		{"one older than the watermark holds it back to its beginning", given{moves(1, "11:40")}, "11:40", "pid 1", "pid 1 11:40 moves", true},
		{"they hold it back no further than the hold before now", given{watermark("10:00"), moves(1, "11:52")}, "11:00", "pid 1", "pid 1 10:00–11:52 moves", false},
		{"nothing is rolled up beside it once the hold reaches the watermark", given{watermark("11:00"), moves(1, "11:52")}, "11:00", "pid 1", "pid 1 11:00–11:52 moves", true},
		{"one that outlived the hold is deferred, and reaches back to it", given{moves(1, "10:30")}, "11:55", "", "pid 1 10:30 moves", false},
		{"one that outlived the hold reaches back to an older watermark", given{watermark("09:00"), moves(1, "10:30")}, "11:55", "", "pid 1 09:00–10:30 moves", false},
		{"usage is rolled up beside one that outlived the hold, wherever the watermark is", given{watermark("11:59"), moves(1, "10:30")}, "11:55", "", "pid 1 10:30 moves", false},
		{"without a hold it is deferred and usage is rolled up beside it", given{hold(0), moves(1, "11:40")}, "11:55", "", "pid 1 11:40 moves", false},
		{"where nothing can be remembered, a young one holds it back too", given{hold(forever), moves(1, "11:59")}, "11:50", "pid 1", "pid 1 11:50–11:59 moves", true},
		{"where nothing can be remembered, an old one holds it back for ever", given{hold(forever), moves(1, "03:00")}, "03:00", "pid 1", "pid 1 03:00 moves", true},
		{"a writer in no session that was read began later, and changes nothing", given{reads(1, "11:58"), rearranges(9)}, "11:55", "", "", false},
		{"a writer and a mover each have their say", given{watermark("11:00"), uses(1, "11:30"), moves(2, "11:52")}, "11:00", "pid 2", "pid 2 11:00–11:52 moves", true},
		{"a writer that holds it back beside a young mover moves nothing", given{uses(1, "11:52"), moves(2, "11:58")}, "11:52", "pid 1", "pid 2 11:50–11:58 moves", false},

		// Prepared transactions: when they began is not known.
		{"a prepared one may hold anything since the watermark", given{prepared("two", "11:58")}, "11:50", `prepared transaction "two"`, "two 11:50–11:58 moves", true},
		{"it holds back at most the hold before its preparation", given{watermark("08:00"), prepared("two", "11:30")}, "10:30", `prepared transaction "two"`, "two 08:00–11:30 moves", false},
		{"one prepared as long ago as the hold is still waited for, for twice the hold", given{watermark("08:00"), prepared("two", "11:00")}, "10:00", `prepared transaction "two"`, "two 08:00–11:00 moves", false},
		{"one that outlived the hold is deferred", given{prepared("two", "10:59")}, "11:55", "", "two 11:50–10:59 moves", false},
		{"one that outlived the hold is deferred since an older watermark", given{watermark("08:00"), prepared("two", "10:59")}, "11:55", "", "two 08:00–10:59 moves", false},
		{"usage is rolled up beside a prepared one that outlived the hold, wherever the watermark is", given{watermark("11:59"), prepared("two", "10:59")}, "11:55", "", "two 11:59–10:59 moves", false},
		{"without a hold a prepared one is deferred at once", given{hold(0), prepared("two", "11:58")}, "11:55", "", "two 11:50–11:58 moves", false},
		{"where nothing can be remembered, a prepared one holds the watermark for ever", given{hold(forever), prepared("two", "03:00")}, "11:50", `prepared transaction "two"`, "", true},
		{"a prepared one does not hold where the watermark is ahead already", given{watermark("11:59"), prepared("two", "11:58")}, "11:55", "", "two 11:59–11:58 moves", true},
		{"a session that is older than a prepared one holds further back", given{hold(forever), reads(1, "11:20"), prepared("two", "11:58")}, "11:20", "pid 1", "", true},

		// Sessions that our role may not see.
		{"a hidden session without a transaction changes nothing", given{hidden(7)}, "11:55", "", "", false},
		{"a hidden transaction that has written nothing may begin to", given{hidden(7), idles(7)}, "11:55", "", "hidden 7/1 10:50–12:00", false},
		{"a hidden writer is deferred from the hold before the watermark", given{hidden(7), writes(7)}, "11:55", "", "hidden 7/1 10:50–12:00", false},
		{"a hidden writer may move usage", given{hidden(7), rearranges(7)}, "11:55", "", "hidden 7/1 10:50–12:00 moves", false},
		{"a hidden one that holds a snapshot may, too", given{holding(hidden(7)), idles(7)}, "11:55", "", "hidden 7/1 10:50–12:00 moves", false},
		{"no hidden one began before the server", given{started("11:30"), hidden(7), writes(7)}, "11:55", "", "hidden 7/1 11:30–12:00", false},
		{"but what was rolled up beside one that moves usage may be older", given{started("11:52"), hidden(7), rearranges(7)}, "11:55", "", "hidden 7/1 11:50–12:00 moves", false},
		{"without a hold a hidden one is deferred from the watermark", given{hold(0), hidden(7), writes(7)}, "11:55", "", "hidden 7/1 11:50–12:00", false},
		{"where nothing can be remembered, nothing after the watermark is rolled up beside it", given{hold(forever), hidden(7), idles(7)}, "11:50", "pid 7", "hidden 7/1 11:50–12:00", false},
		{"nor, there, beside one that moves usage", given{hold(forever), hidden(7), rearranges(7)}, "11:50", "pid 7", "hidden 7/1 11:50–12:00 moves", true},

		// Sessions that nobody can date.
		{"a transaction of a session that tracks nothing is as good as hidden", given{untracked(7, "03:00"), idles(7)}, "11:55", "", "hidden 7/1 10:50–12:00", false},
		{"it did not begin before its session", given{untracked(7, "11:52"), writes(7)}, "11:55", "", "hidden 7/1 11:52–12:00", false},
		{"without a transaction it changes nothing", given{untracked(7, "03:00")}, "11:55", "", "", false},
		{"all together: the furthest holds, and each is deferred", given{reads(1, "10:00"), moves(2, "11:45"), hidden(7), writes(7), prepared("two", "11:58")},
			"11:45", "pid 2", "pid 1 10:00, pid 2 11:45 moves, hidden 7/1 10:50–12:00, two 11:50–11:58 moves", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, h := c.given.decide()
			if !h.Now.Equal(noon) || !h.At.Equal(clock(c.at)) {
				t.Errorf("at %s, want %s", h.At, clock(c.at))
			}
			if (c.held == "") != (h.Held == "") || !strings.HasPrefix(h.Held, c.held) {
				t.Errorf("held by %q, want %q", h.Held, c.held)
			}
			if got := short(h.Deferred); got != c.deferred {
				t.Errorf("deferred\n%s, want\n%s", got, c.deferred)
			}
			if h.Moving != c.moving {
				t.Errorf("usage may be moving: %t, want %t", h.Moving, c.moving)
			}
			for _, tx := range s.Open {
				isOpen := func(d ledger.Deferred) bool { return d.VirtualTransaction == tx.VirtualTransaction }
				if tx.PID != 9 && !slices.ContainsFunc(h.Open, isOpen) {
					t.Errorf("pid %d is not among those open: %s", tx.PID, short(h.Open))
				}
			}
		})
	}
}

func TestSessionsThatCannotBeSeenAreCounted(t *testing.T) {
	_, h := given{hidden(7), hidden(8), hidden(9), writes(8), reads(1, "11:58"), untracked(5, "03:00"), idles(5), untracked(6, "03:00")}.decide()
	if h.Hidden != 3 || h.Untracked != 1 || len(h.Open) != 3 {
		t.Errorf("%d hidden, %d untracked, open: %s; want 3, 1 and three", h.Hidden, h.Untracked, short(h.Open))
	}
}

// TestNothingOpenIsPassedUnlessItsWindowIsDeferred is what the watermark rests on, for whatever may be open.
func TestNothingOpenIsPassedUnlessItsWindowIsDeferred(t *testing.T) {
	for seed := range uint64(5000) {
		random := rand.New(rand.NewPCG(seed, 0))
		some := func() string { return noon.Add(-time.Duration(random.IntN(180)) * time.Minute).Format("15:04") }
		g := given{watermark(some()), hold([]time.Duration{forever, 0, 20 * time.Minute, time.Hour}[random.IntN(4)])}
		for pid := range int32(random.IntN(5)) {
			g = append(g, []fact{
				reads(pid, some()), uses(pid, some()), moves(pid, some()), in(pid, some()), prepared(fmt.Sprint(pid), some()),
				both(hidden(pid), idles(pid)), both(untracked(pid, some()), rearranges(pid)), holding(uses(pid, some())), holding(reads(pid, some())),
			}[random.IntN(9)])
		}
		_, h := g.decide()
		for _, o := range h.Open {
			if o.Wrote.Before(h.At) && !slices.ContainsFunc(h.Deferred, o.SameCause) {
				t.Errorf("seed %d: the horizon %s has passed %s, and nothing is deferred", seed, h.At, short([]ledger.Deferred{o}))
			}
		}
		var r horizon.Rules
		for _, f := range g {
			f(&horizon.Snapshot{}, &r)
		}
		if longest := 2 * r.Hold; r.Hold >= 0 && h.At.Before(noon.Add(-max(longest, 5*time.Minute))) {
			t.Errorf("seed %d: held back to %s by %s, more than twice the hold of %s", seed, h.At, h.Held, r.Hold)
		}
	}
}

// TestAWindowSaysWhatItWaitsFor: the next run recognises the transaction by it.
func TestAWindowSaysWhatItWaitsFor(t *testing.T) {
	_, h := given{moves(1, "11:52"), hidden(7), writes(7), untracked(8, "11:00"), idles(8), prepared("two", "11:58")}.decide()
	want := []ledger.Deferred{
		{
			Kind: ledger.OpenTransaction, From: clock("11:50"), To: clock("11:52").Add(time.Microsecond), Wrote: clock("11:52"), Moves: true,
			PID: 1, BackendStart: clock("00:01"), Started: clock("11:52"), VirtualTransaction: "1/1", Description: "pid 1 (psql of ann), open since 2026-05-01T11:52:00Z",
		},
		{
			Kind: ledger.HiddenTransaction, From: clock("10:50"), To: noon, Wrote: clock("10:50"),
			PID: 7, VirtualTransaction: "7/1", Description: "pid 7, whose start our role may not see",
		},
		{
			Kind: ledger.HiddenTransaction, From: clock("11:00"), To: noon, Wrote: clock("11:00"),
			PID: 8, VirtualTransaction: "8/1", Description: "pid 8 (app of bob), which has track_activities off",
		},
		{
			Kind: ledger.PreparedTransaction, From: clock("11:50"), To: clock("11:58").Add(time.Microsecond), Wrote: clock("11:50"), Moves: true,
			GID: "two", Started: clock("11:58"), Description: `prepared transaction "two" of ann, since 2026-05-01T11:58:00Z`,
		},
	}
	for name, got := range map[string][]ledger.Deferred{"deferred": h.Deferred, "open": h.Open} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: want -, got +\n%s", name, diff)
		}
	}
}
