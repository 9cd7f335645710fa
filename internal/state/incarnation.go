package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// keptAside is how many earlier incarnations are kept for the reader.
const keptAside = 3

// SetAside puts the memory and the checkpoint, which were learned in another incarnation of the database, under names
// that nobody reads but people. Nothing of them is ever used again. It returns the memory's new name.
func (s *Store) SetAside(now time.Time) (aside string, err error) {
	suffix := ".until-" + now.UTC().Format("20060102T150405Z")
	for _, path := range []string{s.path(".json"), s.CheckpointPath()} {
		if err := os.Rename(path, path+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("setting aside what was remembered: %w", err)
		}
		prune(path + ".until-")
	}
	return s.path(".json") + suffix, nil
}

// prune removes all but the newest files of a prefix. What cannot be removed is in nobody's way.
func prune(prefix string) {
	old, err := filepath.Glob(prefix + "*")
	if err != nil {
		return // the directory's name is no pattern
	}
	slices.Sort(old) // by their time
	for len(old) > keptAside {
		_ = os.Remove(old[0])
		old = old[1:]
	}
}
