package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Style says how text is laid out.
type Style struct {
	Color bool // with ANSI escapes
	Width int  // columns; 0 means 80
}

// The layout: a title, then its text, continued under itself.
const (
	defaultWidth = 80
	titleWidth   = 11
)

// ANSI escapes of the few colours used.
const (
	plain  = "\x1b[0m"
	bold   = "\x1b[1m"
	faint  = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
)

func (st Style) paint(color, s string) string {
	if !st.Color || s == "" {
		return s
	}
	return color + s + plain
}

func (st Style) level(l Level, s string) string {
	switch l {
	case OK:
		return st.paint(bold+green, s)
	case Warning:
		return st.paint(bold+yellow, s)
	case Critical:
		return st.paint(bold+red, s)
	}
	return st.paint(bold+cyan, s)
}

// sheet is a page of titled lines.
type sheet struct {
	Style
	b strings.Builder
}

func newSheet(st Style) *sheet {
	if st.Width <= titleWidth+20 {
		st.Width = defaultWidth
	}
	return &sheet{Style: st}
}

// header writes left and, at the right edge, the verdict.
func (p *sheet) header(left string, l Level) {
	verdict := strings.ToUpper(string(l))
	gap := max(2, p.Width-utf8.RuneCountInString(left)-len(verdict))
	p.b.WriteString(p.paint(bold, left) + strings.Repeat(" ", gap) + p.level(l, verdict) + "\n\n")
}

// line writes a title and its text; an empty title continues the one before.
// A text that does not fit is broken between words.
func (p *sheet) line(title, text string) { p.painted(title, text, func(s string) string { return s }) }

func (p *sheet) painted(title, text string, paint func(string) string) {
	p.b.WriteString(p.paint(faint, fmt.Sprintf("%-*s", titleWidth, title)))
	for i, part := range wrap(text, p.Width-titleWidth) {
		if i > 0 {
			p.b.WriteString(strings.Repeat(" ", titleWidth))
		}
		p.b.WriteString(paint(part) + "\n")
	}
}

// wrap breaks text between words into parts of at most width columns; a longer word stays whole.
func wrap(text string, width int) []string {
	var parts []string
	var part strings.Builder
	used := 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if used > 0 && used+1+n > width {
			parts = append(parts, part.String())
			part.Reset()
			used = 0
		}
		if used > 0 {
			part.WriteByte(' ')
			used++
		}
		part.WriteString(word)
		used += n
	}
	return append(parts, part.String())
}

// WriteStatus renders what status found as text.
func WriteStatus(w io.Writer, s *Status, st Style) error {
	p := newSheet(st)
	left := "multica-rollup " + s.Version + "  " + s.Target
	if s.Instance != "" {
		left = "multica-rollup@" + s.Instance + " " + s.Version + "  " + s.Target
	}
	p.header(left, s.Level)
	if s.Refused == "" {
		p.data(s)
		p.runs(s)
		p.scheduling(s)
		p.work(s)
		p.hours(s)
	} else {
		p.line("Data", "not read, since rows may be hidden from this role")
	}
	p.findings(s.Findings)
	_, err := io.WriteString(w, p.b.String())
	return err
}

func (p *sheet) data(s *Status) {
	switch {
	case s.Newest.IsZero() && AtEpoch(s.Watermark):
		p.line("Data", "there is no usage")
	case AtEpoch(s.Watermark):
		p.line("Data", "nothing is rolled up yet: the watermark is at the epoch")
	case s.Newest.IsZero():
		p.line("Data", "rolled up to "+Stamp(s.Watermark)+"; there is no usage")
	case s.Lag() > 0:
		p.line("Data", "rolled up to "+Stamp(s.Watermark)+", "+Span(s.Lag())+" behind the newest event")
	default:
		p.line("Data", "rolled up to "+Stamp(s.Watermark)+", past the newest event")
	}
	if s.Waiting.Count > 0 {
		p.line("", s.Waiting.text("event", "events")+" waiting, the oldest for "+Span(s.At.Sub(s.Waiting.Oldest)))
	}
	if s.Queue.Count > 0 {
		p.line("Queue", s.Queue.text("invalidation", "invalidations")+", the oldest queued "+ago(s.At, s.Queue.Oldest))
	} else {
		p.line("Queue", "empty")
	}
}

func (p *sheet) runs(s *Status) {
	r := s.LastRun
	switch {
	case r.Finished.IsZero():
		p.line("Last run", "never")
	case r.Error != "":
		p.painted("Last run", "failed "+ago(s.At, r.Finished)+": "+r.Error, p.bad)
	default:
		text := ago(s.At, r.Finished) + ", " + Count(r.Rows) + " rows written"
		if took := r.Finished.Sub(r.Started); took >= 0 && !r.Started.IsZero() {
			text += " in " + Span(took)
		}
		p.line("Last run", text)
	}
	if a := s.AgentRun; a != nil && !a.OK && a.Finished.After(r.Finished) {
		p.painted("", "this agent's failed "+ago(s.HostAt, a.Finished)+": "+a.Error, p.bad)
	}
	engine := s.Engine + ", pipeline of migration " + s.Generation
	if s.EngineReason != "" {
		engine += ": " + s.EngineReason
	}
	p.line("Engine", engine)
}

func (p *sheet) bad(s string) string { return p.paint(red, s) }

func (p *sheet) scheduling(s *Status) {
	if u := s.Units; u != nil {
		switch t := u.Timer; {
		case t == nil:
			p.line("Timer", "not installed")
		case !t.Active:
			p.line("Timer", t.Name+" is not started")
		case t.Next.IsZero():
			p.line("Timer", "fires now")
		default:
			p.line("Timer", "next in "+Span(max(0, t.Next.Sub(s.HostAt)))+", at "+Stamp(t.Next))
		}
		if v := u.Service; v != nil {
			switch {
			case v.Working():
				p.line("", strings.TrimSuffix("the service is at work: "+v.Status, ": ")) // which at first has told nothing
			case v.Failed():
				p.painted("", fmt.Sprintf("the service failed: %s, status %d", v.Result, v.Exit), p.bad)
			case !v.Ended.IsZero():
				p.line("", "the service ended well "+ago(s.HostAt, v.Ended))
			}
		}
	}
	for i, o := range s.Schedulers {
		title := "Others"
		if i > 0 {
			title = ""
		}
		p.line(title, o.text(s.At))
	}
	if len(s.Schedulers) == 0 {
		p.line("Others", "nobody else schedules the roll-up")
	}
	for _, l := range s.Lock {
		p.line("Lock 4246", l.Text)
	}
}

func (o Scheduler) text(now time.Time) string {
	text := cmp.Or(o.Title, o.Detail)
	if o.Schedule != "" {
		text += ", " + o.Schedule
	}
	switch {
	case !o.Active:
		text += ": not active"
	case o.LastRun == nil:
		text += ": active"
	default:
		text += ": last run " + ago(now, *o.LastRun)
	}
	if o.LastOK != nil && !*o.LastOK {
		text += ", failed"
	}
	return text
}

func (p *sheet) work(s *Status) {
	switch {
	case s.Guard.Applied:
		p.line("Guard", "migration 103 has been applied")
	case s.Guard.Pass:
		p.line("Guard", GuardLine(s.Guard))
	default:
		p.painted("Guard", GuardLine(s.Guard), func(t string) string { return p.paint(yellow, t) })
	}
	if b := s.Backfill; b != nil {
		p.line("Backfill", b.text(s.HostAt))
	}
	switch u := s.Unproven; {
	case u != nil:
		p.painted("Proven", u.Text(), func(t string) string { return p.paint(yellow, t) })
	case !s.Proven.IsZero():
		p.line("Proven", "all history, "+ago(s.At, s.Proven))
	}
	for i, d := range s.Debts {
		title := "Owed"
		if i > 0 {
			title = ""
		}
		if i == 3 {
			p.line("", fmt.Sprintf("and %d more", len(s.Debts)-i))
			break
		}
		p.line(title, Stamp(d.From)+" to "+Stamp(d.To)+": "+d.Description)
	}
	if g := s.GivenUp; g != nil {
		p.line("Given up", Count(g.Events)+" usage rows before "+Stamp(g.Before)+" are in no hourly row, as asked on "+g.At.UTC().Format(time.DateOnly))
	}
	if d := s.Drift; d != nil {
		found := "no difference"
		if d.Keys > 0 {
			found = Count(d.Keys) + " hourly rows wrong"
		}
		p.line("Verified", ago(s.HostAt, d.At)+": "+found+" in "+Count(d.Checked)+" usage rows")
	}
}

func (b *Backfill) text(now time.Time) string {
	progress := Progress{Done: b.Done, Total: b.Total}.Of()
	switch {
	case b.Running && b.Status != "":
		return "at work: " + b.Status
	case b.Running && b.Cursor.IsZero():
		return "at work"
	case b.Running:
		return "at work: " + progress + ", at " + Stamp(b.Cursor)
	}
	if b.Unknown {
		return "unfinished, at " + progress + "; whether it is at work cannot be seen"
	}
	return "interrupted " + ago(now, b.Updated) + " at " + progress
}

func (p *sheet) hours(s *Status) {
	var tokens, events, most int64
	var peak time.Time
	for _, h := range s.Hours {
		tokens, events = sum(tokens, h.Tokens), sum(events, h.Events)
		if h.Tokens > most {
			most, peak = h.Tokens, h.Start
		}
	}
	if most == 0 {
		p.line("Last 24 h", sparkline(s.Hours)+"  no usage is rolled up")
		return
	}
	p.line("Last 24 h", fmt.Sprintf("%s  %s tokens, most at %s", p.paint(cyan, sparkline(s.Hours)), Short(tokens), peak.UTC().Format("15:04Z")))
}

// sum adds two counts; what is beyond 64 bits is the greatest there is.
func sum(a, b int64) int64 {
	if a > 0 && b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}

// sparkline draws the tokens of each hour: a dot for none, a bar for more.
func sparkline(hours []Hour) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	var most int64
	for _, h := range hours {
		most = max(most, h.Tokens)
	}
	var b strings.Builder
	for _, h := range hours {
		if h.Tokens <= 0 {
			b.WriteRune('·')
			continue
		}
		b.WriteRune(bars[int(float64(h.Tokens)/float64(most)*float64(len(bars)-1))])
	}
	return b.String()
}

func (p *sheet) findings(all []Finding) {
	if len(all) == 0 {
		return
	}
	p.b.WriteByte('\n')
	for _, f := range all {
		for i, part := range wrap(string(f.Level)+": "+f.Text, p.Width-2) {
			if i > 0 {
				part = "  " + part
			} else {
				part = p.level(f.Level, string(f.Level)+":") + strings.TrimPrefix(part, string(f.Level)+":")
			}
			p.b.WriteString(part + "\n")
		}
		if f.Hint != "" {
			p.b.WriteString("  " + p.paint(bold, f.Hint) + "\n")
		}
	}
}

func (c Counted) text(one, many string) string {
	switch {
	case c.More:
		return "more than " + Count(c.Count) + " " + many
	case c.Count == 1:
		return "1 " + one
	}
	return Count(c.Count) + " " + many
}

// Span renders a duration as Duration does, without a zero second unit: 5m, 7h, 2d.
func Span(d time.Duration) string {
	text := Duration(d)
	for _, zero := range []string{"m0s", "h0m", "d0h"} {
		if strings.HasSuffix(text, zero) {
			return text[:len(text)-2]
		}
	}
	return text
}

// ago renders how long before now something was.
func ago(now, then time.Time) string {
	d := now.Sub(then)
	switch {
	case then.IsZero():
		return "never"
	case d < 0:
		return "in " + Span(-d)
	case d < time.Second:
		return "just now"
	}
	return Span(d) + " ago"
}

// Short renders a number in three digits or so: 950, 12.3 k, 4.56 M, 7.89 G.
func Short(n int64) string {
	f, unit := float64(n), ""
	for _, u := range []string{" k", " M", " G", " T", " P"} {
		if f < 999.5 {
			break
		}
		f, unit = f/1000, u
	}
	switch {
	case unit == "":
		return fmt.Sprint(n)
	case f < 9.995:
		return fmt.Sprintf("%.2f%s", f, unit)
	case f < 99.95:
		return fmt.Sprintf("%.1f%s", f, unit)
	}
	return fmt.Sprintf("%.0f%s", f, unit)
}
