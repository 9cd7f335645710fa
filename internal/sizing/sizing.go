// Package sizing decides how much one transaction takes on, by how long the last one took.
package sizing

import "time"

// Size is the number of rows that the next transaction aims at: it begins small, grows at most twofold, and shrinks at once.
type Size struct {
	rows, floor, ceil int
	target            time.Duration
	fixed             bool
}

// New returns a size that begins with first rows, stays within the bounds, and aims at transactions of the target's length.
func New(first, floor, ceil int, target time.Duration) Size {
	return Size{rows: first, floor: floor, ceil: ceil, target: target}
}

// Fixed returns a size that no duration changes; only Cut makes it smaller.
func Fixed(rows, floor int) Size { return Size{rows: rows, floor: min(rows, floor), fixed: true} }

// Rows is how many rows to aim at.
func (s *Size) Rows() int { return s.rows }

// Took says how long a transaction of this size took. full: it ended by its size; one that ended
// early tells nothing of a larger one.
func (s *Size) Took(took time.Duration, full bool) {
	factor := 2.0
	if took > 0 {
		factor = min(factor, float64(s.target)/float64(took))
	}
	if s.fixed || factor > 1 && !full {
		return
	}
	s.rows = min(s.ceil, max(s.floor, int(float64(s.rows)*factor)))
}

// Cap makes the size at most so many rows: there were no more to take on.
func (s *Size) Cap(rows int) { s.rows = max(s.floor, min(s.rows, rows)) }

// Cut divides the size, after a transaction that took too long to end. False: it was at its floor.
func (s *Size) Cut(by int) bool {
	if s.rows <= s.floor {
		return false
	}
	s.rows = max(s.floor, s.rows/by)
	return true
}
