package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// StatusEntry is one of several databases of a host.
type StatusEntry struct {
	Instance string  `json:"instance"` // default, or the NAME of rollup.d/NAME.toml
	Config   string  `json:"config"`   // path
	Level    Level   `json:"status"`
	Error    string  `json:"error,omitempty"` // why it could not be checked
	Hint     string  `json:"hint,omitempty"`
	Status   *Status `json:"detail,omitempty"`
}

// WriteStatuses renders several databases, a line and the findings of each.
func WriteStatuses(w io.Writer, entries []StatusEntry, st Style) error {
	p := newSheet(st)
	name := len("instance")
	for _, e := range entries {
		name = max(name, utf8.RuneCountInString(e.Instance))
	}
	for _, e := range entries {
		verdict := p.level(e.Level, fmt.Sprintf("%-8s", strings.ToUpper(string(e.Level))))
		p.b.WriteString(fmt.Sprintf("%-*s", name, e.Instance) + "  " + verdict + "  " + e.summary() + "\n")
		if s := e.Status; s != nil {
			for _, f := range s.Findings {
				p.under(f.Level, f.Text, f.Hint)
			}
		}
		if e.Error != "" {
			p.under(Unknown, e.Error, e.Hint)
		}
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

// WriteBrief renders several databases in one line each, for probes and logs: the
// verdict, and how it stands or the first of the worst that is amiss.
func WriteBrief(w io.Writer, entries []StatusEntry) error {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(strings.ToUpper(string(e.Level)) + " " + e.brief() + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (e StatusEntry) brief() string {
	line := e.summary()
	switch {
	case e.Status == nil:
		line += ": " + e.Error
	case e.Level != OK && len(e.Status.Findings) > 0:
		n := slices.IndexFunc(e.Status.Findings, func(f Finding) bool { return f.Level == e.Level })
		line = e.Status.Target + ": " + e.Status.Findings[max(0, n)].Text
		if more := len(e.Status.Findings) - 1; more > 0 {
			line += fmt.Sprintf(" (and %d more)", more)
		}
	}
	if e.Instance != "" {
		line = e.Instance + " " + line
	}
	return line
}

func (e StatusEntry) summary() string {
	s := e.Status
	switch {
	case s == nil:
		return e.Config
	case s.Newest.IsZero():
		return s.Target + ": there is no usage"
	case AtEpoch(s.Watermark):
		return s.Target + ": nothing is rolled up yet"
	case s.Waiting.Count == 0:
		return s.Target + ": nothing waits"
	}
	return s.Target + ": " + s.Waiting.text("event", "events") + " waiting, the oldest for " + Span(s.At.Sub(s.Waiting.Oldest))
}

// under writes a finding, indented, and what to type.
func (p *sheet) under(l Level, text, hint string) {
	for i, part := range wrap(string(l)+": "+text, p.Width-4) {
		indent := "  "
		if i > 0 {
			indent = "    "
		}
		p.b.WriteString(indent + part + "\n")
	}
	if hint != "" {
		p.b.WriteString("    " + p.paint(bold, hint) + "\n")
	}
}
