package config

import (
	"fmt"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/spelling"
)

// didYouMean returns " (did you mean …?)" for the candidate nearest to word, ""
// where none is near.
func didYouMean(word string, candidates []string) string {
	best := spelling.Nearest(word, candidates, len(word)/3+2)
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
