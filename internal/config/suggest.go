package config

import (
	"fmt"
	"strings"
)

// didYouMean returns " (did you mean …?)" for the candidate nearest to word, ""
// where none is near.
func didYouMean(word string, candidates []string) string {
	best, distance := "", len(word)/3+2
	for _, candidate := range candidates {
		if d := editDistance(strings.ToLower(word), strings.ToLower(candidate)); d < distance {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// suggestKey offers the key that an unknown one was meant to be: one written in
// the wrong section, or one nearly spelled like it.
func suggestKey(name string) string {
	names := keyNames()
	last := name[strings.LastIndexByte(name, '.')+1:]
	for _, candidate := range names {
		section, short, ok := strings.Cut(candidate, ".")
		if ok && short == last {
			return fmt.Sprintf(" (did you mean %q in section [%s]?)", short, section)
		}
		if !ok && candidate == last {
			return fmt.Sprintf(" (did you mean %q, before the first section?)", candidate)
		}
	}
	return didYouMean(name, names)
}

func keyNames() []string {
	var names []string
	for _, k := range keys() {
		names = append(names, k.name)
	}
	return names
}

// editDistance is Levenshtein's, in bytes.
func editDistance(a, b string) int {
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
