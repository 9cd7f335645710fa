// Package spelling finds the word that a misspelt one was meant to be.
package spelling

import "strings"

// Nearest returns the candidate that takes the fewest changes to make of word, the
// first of several, whatever the case; "" where none takes fewer than limit.
func Nearest(word string, candidates []string, limit int) string {
	best, lower := "", strings.ToLower(word)
	for _, candidate := range candidates {
		if d := distance(lower, strings.ToLower(candidate)); d < limit {
			best, limit = candidate, d
		}
	}
	return best
}

// distance returns how many bytes have to be inserted, deleted, or replaced
// to make one word the other (Levenshtein's distance).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
