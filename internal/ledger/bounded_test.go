package ledger

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/multica-rollup/multica-rollup/internal/files"
)

func minute(n int) time.Time { return time.Date(2026, 5, 1, 0, n, 0, 0, time.UTC) }

// some is a window of a kind that began at a minute.
func some(kind Kind, n int) Deferred {
	d := Deferred{Kind: kind, From: minute(n), To: minute(n + 1)}
	switch kind {
	case OpenTransaction:
		d.PID, d.Started, d.Wrote = int32(n+1), minute(n), minute(n)
	case PreparedTransaction:
		d.GID, d.Started, d.Wrote, d.Moves = fmt.Sprintf("gid %d", n), minute(n), minute(n-5), true
	case HiddenTransaction:
		d.PID, d.VirtualTransaction, d.Wrote = int32(n+1), fmt.Sprintf("%d/7", n), minute(n)
	case Gap:
		d.Description = "the watermark was moved by others"
	}
	return d
}

func TestTheOldestWindowsBecomeOneOfEachKind(t *testing.T) {
	mover := some(OpenTransaction, 2)
	mover.Moves, mover.From = true, minute(0)
	for _, c := range []struct {
		name       string
		have, want []Deferred
	}{
		{"as many as there may be", []Deferred{some(Gap, 9), some(OpenTransaction, 1), some(OpenTransaction, 2), some(Gap, 3)},
			[]Deferred{some(Gap, 9), some(OpenTransaction, 1), some(OpenTransaction, 2), some(Gap, 3)}},
		{"gaps reach over what lies between", []Deferred{some(Gap, 9), some(Gap, 1), some(Gap, 3), some(Gap, 5), some(Gap, 7)},
			[]Deferred{{Kind: Gap, From: minute(1), To: minute(6), Description: some(Gap, 1).Description}, some(Gap, 7), some(Gap, 9)}},
		{"transactions wait for the last of them to end", []Deferred{some(OpenTransaction, 1), mover, some(OpenTransaction, 3), some(OpenTransaction, 4), some(OpenTransaction, 5)},
			[]Deferred{{Kind: OpenTransaction, From: minute(0), To: minute(4), Wrote: minute(1), Started: minute(3), Moves: true,
				Description: "transactions that began by 2026-05-01T00:03:00Z"}, some(OpenTransaction, 4), some(OpenTransaction, 5)}},
		{"prepared ones", []Deferred{some(PreparedTransaction, 1), some(PreparedTransaction, 2), some(PreparedTransaction, 3), some(PreparedTransaction, 4), some(PreparedTransaction, 5)},
			[]Deferred{{Kind: PreparedTransaction, From: minute(1), To: minute(4), Wrote: minute(-4), Started: minute(3), Moves: true,
				Description: "transactions prepared by 2026-05-01T00:03:00Z"}, some(PreparedTransaction, 4), some(PreparedTransaction, 5)}},
		{"hidden ones are listed", []Deferred{some(HiddenTransaction, 1), some(HiddenTransaction, 2), some(HiddenTransaction, 3), some(HiddenTransaction, 4), some(HiddenTransaction, 5)},
			[]Deferred{{Kind: HiddenTransaction, From: minute(1), To: minute(4), Wrote: minute(1), VirtualTransaction: "1/7 2/7 3/7",
				Description: "sessions whose start our role may not see, by 2026-05-01T00:04:00Z"}, some(HiddenTransaction, 4), some(HiddenTransaction, 5)}},
		{"one of a kind stays as it is", []Deferred{some(Gap, 1), some(HiddenTransaction, 2), some(PreparedTransaction, 3), some(Gap, 4), some(Gap, 5)},
			[]Deferred{some(Gap, 1), some(HiddenTransaction, 2), some(PreparedTransaction, 3), some(Gap, 4), some(Gap, 5)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, bounded(c.have, 4)); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

// TestNothingIsLostWhereWindowsBecomeFewer compares, for whatever is open, what
// may be rolled up with what might be if each window were remembered for itself.
func TestNothingIsLostWhereWindowsBecomeFewer(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		kinds := []Kind{OpenTransaction, PreparedTransaction, HiddenTransaction, Gap}[rng.IntN(3):]
		var m Memory
		var all []Deferred
		for n := range MostDeferred + rng.IntN(3*MostDeferred) {
			d := some(kinds[rng.IntN(len(kinds))], rng.IntN(2000))
			d.Moves = d.Moves || rng.IntN(9) == 0
			all = append(all, d)
			if rng.IntN(5) == 0 { // seen again, as in each slice
				m.Defer(all[rng.IntN(n+1)])
			}
			m.Defer(d)
		}
		if len(m.Deferred) > MostDeferred {
			t.Fatalf("seed %d: %d windows are remembered", seed, len(m.Deferred))
		}
		var open []Deferred
		for _, d := range all {
			if d.Kind != Gap && rng.IntN(50) == 0 {
				open = append(open, d)
			}
		}
		due := FallenDue(m.Deferred, open, minute(3000))
		for _, d := range all {
			kept := false
			for _, w := range m.Deferred {
				kept = kept || !w.From.After(d.From) && !w.To.Before(d.To) && (w.Moves || !d.Moves) && (Due(d, open) || !Due(w, open)) && w.Kind == d.Kind
			}
			if !kept {
				t.Fatalf("seed %d: nothing remembers %+v, or it is rolled up too early", seed, d)
			}
		}
		if len(open) == 0 && len(due) != len(m.Deferred) {
			t.Fatalf("seed %d: nothing is open, and %d of %d windows are due", seed, len(due), len(m.Deferred))
		}
	}
}

func TestWhatIsRememberedFitsItsFile(t *testing.T) {
	var m Memory
	nasty := strings.Repeat("\x01", 199) // each takes six bytes in JSON
	for n := range 5000 {
		for _, kind := range []Kind{OpenTransaction, PreparedTransaction, HiddenTransaction} {
			d := some(kind, n)
			if kind == PreparedTransaction {
				d.GID = fmt.Sprint(nasty[:190], n)
			}
			d.Description = fmt.Sprintf("prepared transaction %q of %s", nasty, nasty)
			m.Defer(d)
		}
	}
	m.Finish(Run{Error: strings.Repeat("错", 1<<20)}, minute(0))
	if !utf8.ValidString(m.Run.Error) || len(m.Run.Error) > mostError+len("…") {
		t.Errorf("the error has %d bytes", len(m.Run.Error))
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil || len(b) > files.Limit*9/10 {
		t.Errorf("the memory takes %d bytes, %v", len(b), err)
	}
}
