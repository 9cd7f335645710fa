package report

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Line renders the state in one line, for STATUS= and for a terminal.
func (s *State) Line() string {
	switch s.Outcome {
	case Failed:
		return "failed: " + s.Error
	case Busy:
		return "lock 4246 is held by " + s.Holder + "; the next run goes on"
	case StandingBy:
		return "standing by: another schedules the roll-up, " + s.lagText() + s.tail()
	}
	var b strings.Builder
	switch {
	case s.Outcome == Interrupted:
		b.WriteString("interrupted; ")
	case s.Outcome == "" && s.Waits() != "":
		if s.Stands() {
			b.WriteString("waiting: ")
		}
		b.WriteString(s.Waits() + "; ")
	case s.Outcome == "":
		b.WriteString(string(s.Phase) + ": ")
	}
	if b.Len() > 0 && s.Progress == nil && (s.Watermark.IsZero() || s.Command == "backfill") {
		return b.String()[:b.Len()-len("; ")] + s.tail() // there is nothing else to tell yet
	}
	if p := s.Progress; p != nil && s.Outcome != Current {
		fmt.Fprintf(&b, "%.1f %%", p.Percent())
		if p.PerSecond > 0 && p.Done < p.Total && s.Outcome == "" && !s.Stands() {
			fmt.Fprintf(&b, ", %s left, %s rows/s", Duration(p.ETA), Count(int64(p.PerSecond)))
		}
		fmt.Fprintf(&b, " (%s of %s rows)", Count(p.Done), Count(p.Total))
		if !s.SliceTo.IsZero() {
			fmt.Fprintf(&b, ", at %s", Stamp(s.SliceTo))
		}
		return b.String() + s.tail()
	}
	switch {
	case s.Outcome == Incomplete:
		fmt.Fprintf(&b, "behind: rolled up to %s, %s; the next run goes on", Stamp(s.Watermark), s.lagText())
	case s.Outcome == Current && s.Held != "":
		fmt.Fprintf(&b, "rolled up to %s, held back by %s", Stamp(s.Watermark), s.Held)
	default:
		fmt.Fprintf(&b, "rolled up to %s, %s", Stamp(s.Watermark), s.lagText())
	}
	fmt.Fprintf(&b, "; %s rows written, %s read", Count(s.Rows), Count(s.Read))
	if s.Queue > 0 {
		fmt.Fprintf(&b, "; %s keys queued", Count(s.Queue))
	}
	return b.String() + s.tail()
}

func (s *State) lagText() string {
	if lag := s.Lag(); lag > 0 {
		return "newest usage is " + Duration(lag) + " ahead"
	}
	return "nothing newer waits"
}

func (s *State) tail() string {
	if s.EngineReason != "" {
		return " [engine " + s.Engine + ": " + s.EngineReason + "]"
	}
	return ""
}

// Status renders the state for STATUS=: its line and the warnings, of which the
// log has each in an entry of its own.
func (s *State) Status() string {
	line := s.Line()
	for _, w := range s.Warnings {
		line += " [warning: " + w + "]"
	}
	return line
}

// Stamp renders a time as every account shows it: UTC, to the second.
func Stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// Duration renders a duration in its two largest units: 3d4h, 2h10m, 5m3s, 1.2s.
func Duration(d time.Duration) string {
	switch {
	case d == math.MinInt64: // which has no positive: time.Time.Sub ends there
		return "-" + Duration(math.MaxInt64)
	case d == math.MaxInt64:
		return ">292y"
	case d < 0:
		return "-" + Duration(-d)
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		d = d.Round(time.Second)
		if d < time.Minute {
			return d.String()
		}
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	case d < 1000*24*time.Hour:
		d = d.Round(time.Hour)
		return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
	default:
		return fmt.Sprintf("%.1fy", d.Hours()/24/365.25)
	}
}

// Count renders a number with its digits in groups of three: 1,234,567.
func Count(n int64) string {
	digits, negative := strings.CutPrefix(fmt.Sprint(n), "-")
	var b strings.Builder
	if negative {
		b.WriteByte('-')
	}
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
