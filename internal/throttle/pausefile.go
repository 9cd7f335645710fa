package throttle

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/dsn"
	"github.com/multica-rollup/multica-rollup/internal/files"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// pauseFile pauses while the file exists. Its error is for a place where there can be no file.
func pauseFile(c config.Backfill) (signal, error) {
	if what, is := errors.AsType[*files.NoFileError](files.Check(c.PauseFile)); is && c.PauseFile != "" {
		return signal{}, problem.New(problem.Config, "name a file that touch and rm can make and remove", "backfill.pause_file: %s: %v", dsn.ShowPath(c.PauseFile), what)
	}
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
