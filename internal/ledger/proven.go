package ledger

import (
	"cmp"
	"slices"
	"time"
)

// Proof says that the hourly rows of whole bucket hours were reconciled with raw usage.
type Proof struct {
	From time.Time `json:"from,omitzero"` // zero: from the beginning
	To   time.Time `json:"to,omitzero"`   // exclusive; zero: without an end
	At   time.Time `json:"at"`            // by the database's clock; of the oldest part
}

// Proven is a set of bucket hours that are proven, in order and without overlaps. All others are unproven.
type Proven []Proof

// Any says whether anything is proven.
func (p Proven) Any() bool { return len(p) > 0 }

// All says whether everything is proven.
func (p Proven) All() bool { return len(p.Unproven()) == 0 }

// Range is a stretch of bucket hours, half-open. A zero From or To has no bound.
type Range struct {
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// Unproven returns what is not proven, in order.
func (p Proven) Unproven() (list []Range) {
	at := time.Time{} // proven up to here; zero at the beginning means not at all
	begun := false
	for _, proof := range p {
		if !begun && !proof.From.IsZero() || begun && proof.From.After(at) {
			list = append(list, Range{From: at, To: proof.From})
		}
		begun = true
		if at = proof.To; at.IsZero() {
			return list
		}
	}
	return append(list, Range{From: at})
}

// mostProofs bounds the set: neighbours are then taken for as old as the older of them.
const mostProofs = 256

// near is a difference in age that makes no difference.
const near = 10 * time.Minute

// With returns the set with one more proof, which replaces what was known of its hours.
func (p Proven) With(proof Proof) Proven {
	out := append(p.without(proof), proof)
	slices.SortFunc(out, func(a, b Proof) int { return cmp.Compare(bound(a.From, false), bound(b.From, false)) })
	out = out.merged(near)
	for d := near; len(out) > mostProofs; d *= 2 {
		out = out.merged(d)
	}
	return out
}

// Withdraw returns the set without the hours of a range.
func (p Proven) Withdraw(r Range) Proven { return p.without(Proof{From: r.From, To: r.To}) }

func (p Proven) without(cut Proof) (out Proven) {
	for _, o := range p {
		if left := o; !cut.From.IsZero() && bound(o.From, false) < bound(cut.From, false) {
			if bound(cut.From, true) < bound(o.To, true) {
				left.To = cut.From
			}
			out = append(out, left)
		}
		if right := o; !cut.To.IsZero() && bound(o.To, true) > bound(cut.To, true) {
			if bound(cut.To, false) > bound(o.From, false) {
				right.From = cut.To
			}
			out = append(out, right)
		}
	}
	// What lies wholly before the cut was taken as left, and wholly after it as right: never as both.
	return out
}

// merged joins neighbours whose ages differ by at most d.
func (p Proven) merged(d time.Duration) (out Proven) {
	for _, o := range p {
		if n := len(out) - 1; n >= 0 && out[n].To.Equal(o.From) && out[n].At.Sub(o.At).Abs() <= d {
			out[n].To = o.To
			if o.At.Before(out[n].At) {
				out[n].At = o.At
			}
			continue
		}
		out = append(out, o)
	}
	return out
}

// bound orders the bounds of ranges, of which zero has none.
func bound(t time.Time, end bool) int64 {
	switch {
	case !t.IsZero():
		return t.UnixMicro()
	case end:
		return 1<<63 - 1
	}
	return -1 << 63
}

// Oldest returns when the oldest proof was made; zero where there is none.
func (p Proven) Oldest() (at time.Time) {
	for _, o := range p {
		if at.IsZero() || o.At.Before(at) {
			at = o.At
		}
	}
	return at
}
