package config

import (
	"path/filepath"
	"testing"
)

func TestAPauseFileThatCannotPauseIsWarnedOf(t *testing.T) {
	here := t.TempDir()
	aFile := write(t, "")
	for _, tt := range []struct {
		file    string
		service bool
		want    string
	}{
		{"", true, ""},
		{"/run.pause", true, ""},
		{here + "/pause", false, ""},
		{"/nonexistent/dir/pause", true, "the pause file /nonexistent/dir/pause cannot be there: there is no directory /nonexistent/dir"},
		{aFile + "/pause", false, "the pause file " + aFile + "/pause cannot be there: " + aFile + " is no directory"},
		{"/tmp/pause", false, ""},
		{"/tmp/pause", true, "the pause file /tmp/pause never pauses the service, which does not see the /tmp of others: use one such as /run/multica-rollup.pause"},
		{"/home/me/pause", true, "the pause file /home/me/pause never pauses the service, which does not see the /home of others: use one such as /run/multica-rollup.pause"},
		{"/tmpfiles.pause", true, ""},
	} {
		l := &Loaded{Config: Config{Backfill: Backfill{PauseFile: tt.file}}}
		if got := l.PauseFileWarning(tt.service); got != tt.want {
			t.Errorf("%s (service: %t): got %q, want %q", filepath.Clean(tt.file), tt.service, got, tt.want)
		}
	}
}
