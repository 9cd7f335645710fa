package throttle

import (
	"fmt"
	"strings"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// window pauses outside of a daily span of local time.
func window(c config.Backfill) (signal, error) {
	w, err := ParseWindow(c.Window)
	read := func(now time.Time) (r reading) {
		if !w.Contains(now) {
			r.reason = fmt.Sprintf("outside of the window %s", w)
		}
		return r
	}
	return signal{name: "window", key: "window", on: w != nil, host: read}, err
}

// Window is a daily span of local time, such as 22:00-06:00.
type Window struct {
	from, to int // minutes after midnight; from > to spans midnight
	text     string
}

// ParseWindow reads "HH:MM-HH:MM"; nil for "". The error is a problem of kind Config.
func ParseWindow(s string) (*Window, error) {
	if s == "" {
		return nil, nil
	}
	bad := problem.New(problem.Config, "write it as 22:00-06:00, in local time", "backfill.window %q is not a span of the day", s)
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		return nil, bad
	}
	a, errA := time.Parse("15:04", strings.TrimSpace(from))
	b, errB := time.Parse("15:04", strings.TrimSpace(to))
	if errA != nil || errB != nil || a.Equal(b) {
		return nil, bad
	}
	return &Window{from: a.Hour()*60 + a.Minute(), to: b.Hour()*60 + b.Minute(), text: s}, nil
}

// Contains says whether t, in its own location, lies within the window.
func (w *Window) Contains(t time.Time) bool {
	m := t.Hour()*60 + t.Minute()
	if w.from < w.to {
		return m >= w.from && m < w.to
	}
	return m >= w.from || m < w.to
}

// String returns the window as it was written.
func (w *Window) String() string { return w.text }
