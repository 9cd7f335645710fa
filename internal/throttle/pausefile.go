package throttle

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/config"
)

// pauseFile pauses while the file exists.
func pauseFile(c config.Backfill) (signal, error) {
	read := func(time.Time) reading {
		_, err := os.Stat(c.PauseFile)
		switch {
		case err == nil:
			return reading{reason: "the pause file " + c.PauseFile + " is there"}
		case errors.Is(err, fs.ErrNotExist):
			return reading{}
		}
		return reading{unread: err.Error()}
	}
	return signal{name: "pause file", key: "pause_file", on: c.PauseFile != "", host: read}, nil
}
