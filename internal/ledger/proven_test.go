package ledger_test

import (
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

func hours(from, to int) ledger.Range { return ledger.Range{From: at(from, 0), To: at(to, 0)} }

func proof(from, to int, made time.Time) ledger.Proof {
	return ledger.Proof{From: at(from, 0), To: at(to, 0), At: made}
}

func TestWhatIsNotProvenIsTheRest(t *testing.T) {
	all := ledger.Range{}
	for _, c := range []struct {
		name   string
		proven ledger.Proven
		want   []ledger.Range
	}{
		{"nothing is proven", nil, []ledger.Range{all}},
		{"everything is", ledger.Proven{{At: at(9, 0)}}, nil},
		{"one stretch is", ledger.Proven{proof(3, 5, at(9, 0))}, []ledger.Range{{To: at(3, 0)}, {From: at(5, 0)}}},
		{"two stretches that adjoin are", ledger.Proven{proof(3, 5, at(9, 0)), proof(5, 7, at(8, 0))}, []ledger.Range{{To: at(3, 0)}, {From: at(7, 0)}}},
		{"all but one hour is", ledger.Proven{{To: at(3, 0)}, {From: at(4, 0)}}, []ledger.Range{hours(3, 4)}},
		{"all before an hour is", ledger.Proven{{To: at(3, 0)}}, []ledger.Range{{From: at(3, 0)}}},
	} {
		t.Run(c.name, func(t *testing.T) { same(t, c.proven.Unproven(), c.want) })
	}
}

func TestAProofReplacesWhatWasKnownOfItsHours(t *testing.T) {
	old, late := at(1, 0), at(20, 0)
	for _, c := range []struct {
		name string
		have ledger.Proven
		add  ledger.Proof
		want ledger.Proven
	}{
		{"the first", nil, proof(3, 5, late), ledger.Proven{proof(3, 5, late)}},
		{"in the middle of an older one", ledger.Proven{proof(2, 8, old)}, proof(3, 5, late), ledger.Proven{proof(2, 3, old), proof(3, 5, late), proof(5, 8, old)}},
		{"over two older ones", ledger.Proven{proof(2, 4, old), proof(5, 8, old)}, proof(3, 6, late), ledger.Proven{proof(2, 3, old), proof(3, 6, late), proof(6, 8, old)}},
		{"over everything", ledger.Proven{{To: at(4, 0), At: old}, proof(5, 8, old)}, ledger.Proof{At: late}, ledger.Proven{{At: late}}},
		{"beside one as old", ledger.Proven{proof(2, 4, old)}, proof(4, 5, old.Add(time.Minute)), ledger.Proven{proof(2, 5, old)}},
		{"before all others", ledger.Proven{proof(5, 8, old)}, proof(2, 3, late), ledger.Proven{proof(2, 3, late), proof(5, 8, old)}},
		{"from the beginning", ledger.Proven{proof(5, 8, old)}, ledger.Proof{To: at(6, 0), At: late}, ledger.Proven{{To: at(6, 0), At: late}, proof(6, 8, old)}},
		{"without an end", ledger.Proven{proof(5, 8, old)}, ledger.Proof{From: at(6, 0), At: late}, ledger.Proven{proof(5, 6, old), {From: at(6, 0), At: late}}},
	} {
		t.Run(c.name, func(t *testing.T) { same(t, c.have.With(c.add), c.want) })
	}
}

func TestWhatIsWithdrawnIsUnproven(t *testing.T) {
	p := ledger.Proven{{At: at(9, 0)}}.Withdraw(hours(3, 5))
	same(t, p.Unproven(), []ledger.Range{hours(3, 5)})
	same(t, p.Withdraw(ledger.Range{}).Unproven(), []ledger.Range{{}})
	same(t, p.With(proof(3, 5, at(10, 0))).All(), true)
}

// TestTheSetOfProofsIsBounded: a set of many small proofs is merged, and nothing becomes proven by that.
func TestTheSetOfProofsIsBounded(t *testing.T) {
	var p ledger.Proven
	begin := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 2000 {
		from := begin.Add(time.Duration(i) * time.Hour)
		p = p.With(ledger.Proof{From: from, To: from.Add(time.Hour), At: begin.Add(time.Duration(i*7919%2000) * time.Hour)})
	}
	if len(p) > 256 {
		t.Errorf("%d proofs are kept", len(p))
	}
	same(t, p.Unproven(), []ledger.Range{{To: begin}, {From: begin.Add(2000 * time.Hour)}})
	same(t, p.Oldest(), begin)
}
