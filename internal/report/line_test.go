package report_test

import (
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

func TestTheLineOfABackfill(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	working := func(change func(*report.State)) *report.State {
		s := &report.State{
			Command: "backfill", Phase: report.Walking, Watermark: at, SliceTo: at,
			Progress: &report.Progress{Done: 20000, Total: 24052, PerSecond: 4500, ETA: 900 * time.Millisecond},
		}
		change(s)
		return s
	}
	early := func(change func(*report.State)) *report.State {
		s := &report.State{Command: "backfill", Phase: report.Counting, Watermark: time.Unix(0, 0), Newest: at}
		change(s)
		return s
	}
	for _, c := range []struct {
		name string
		s    *report.State
		want string
	}{
		{"at work", working(func(*report.State) {}), "rolling up: 83.2 %, 900ms left, 4,500 rows/s (20,000 of 24,052 rows), at 2026-05-01 12:00:00Z"},
		{
			"held back", working(func(s *report.State) { s.Throttle = "8 sessions are active, at most 2 are wanted" }),
			"waiting: 8 sessions are active, at most 2 are wanted; 83.2 % (20,000 of 24,052 rows), at 2026-05-01 12:00:00Z",
		},
		{
			"pausing", working(func(s *report.State) { s.Throttle, s.Pausing = "pausing 4s between slices", true }),
			"pausing 4s between slices; 83.2 %, 900ms left, 4,500 rows/s (20,000 of 24,052 rows), at 2026-05-01 12:00:00Z",
		},
		{
			"blocked in a wait", working(func(s *report.State) {
				s.Throttle, s.Blocked = "the pause file is there", "for lock 4246, held by pid 7"
			}),
			"waiting: for lock 4246, held by pid 7; 83.2 % (20,000 of 24,052 rows), at 2026-05-01 12:00:00Z",
		},
		{"interrupted in a wait", working(func(s *report.State) { s.Outcome, s.Throttle = report.Interrupted, "x" }), "interrupted; 83.2 % (20,000 of 24,052 rows), at 2026-05-01 12:00:00Z"},
		{"interrupted before it began", early(func(s *report.State) { s.Outcome = report.Interrupted }), "interrupted"},
		{
			"at its end", working(func(s *report.State) { s.Phase, s.Progress.Done = report.Draining, 24052 }),
			"draining the queue: 100.0 % (24,052 of 24,052 rows), at 2026-05-01 12:00:00Z",
		},
		{"connecting", &report.State{Command: "run", Phase: report.Connecting}, "connecting to the database"},
		{"interrupted at once", &report.State{Command: "run", Outcome: report.Interrupted}, "interrupted"},
		{"counting", early(func(*report.State) {}), "counting the usage rows"},
		{"held back before it begins", early(func(s *report.State) { s.Throttle = "outside of the window 22:00-06:00" }), "waiting: outside of the window 22:00-06:00"},
		{
			"a tick", &report.State{Command: "run", Phase: report.Settling, Watermark: at, Rows: 5, Read: 7},
			"rolling up again what was committed late: rolled up to 2026-05-01 12:00:00Z, nothing newer waits; 5 rows written, 7 read",
		},
	} {
		if got := c.s.Line(); got != c.want {
			t.Errorf("%s: %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestAPlaceThatWasNotCountedYetIsNotAtItsEnd(t *testing.T) {
	for total, want := range map[int64]string{0: "0.0 % (not counted yet)", 2000: "50.0 % (1,000 of 2,000 rows)"} {
		if got := (report.Progress{Done: total / 2, Total: total}).Of(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
