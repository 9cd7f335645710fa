package doctor

import (
	"fmt"
	"io"
	"strings"
)

// labels are the verdicts as they are printed, of one width.
var labels = map[Verdict]string{OK: "ok      ", Warning: "WARNING ", Critical: "CRITICAL", Unknown: "UNKNOWN "}

// textWidth is the width of a classic terminal.
const textWidth = 80

// Write prints the report for people: what is not ok first and in full, the rest
// in one line, or all of it where verbose.
func (r *Report) Write(w io.Writer, verbose bool) error {
	var b strings.Builder
	var fine []string
	for _, f := range r.Findings {
		if f.Verdict == OK && !verbose {
			fine = append(fine, f.ID)
			continue
		}
		f.write(&b)
	}
	if len(fine) > 0 {
		wrap(&b, fmt.Sprintf("ok (%d):", len(fine)), "  ", strings.Join(fine, ", "))
	}
	if len(r.NotRun) > 0 {
		wrap(&b, fmt.Sprintf("not looked at until that is mended (%d):", len(r.NotRun)), "  ", strings.Join(r.NotRun, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (f *Finding) write(b *strings.Builder) {
	wrap(b, labels[f.Verdict]+" "+f.ID+":", "    ", f.Summary)
	for _, line := range f.Evidence {
		wrap(b, "    -", "      ", line)
	}
	if f.Fix != nil {
		// A command is not broken: it is to be copied.
		fmt.Fprintf(b, "    fix: %s\n", f.Fix)
	}
	if f.Verdict != OK {
		b.WriteByte('\n')
	}
}

// wrap writes a paragraph that begins with head; its further lines are indented.
func wrap(b *strings.Builder, head, indent, text string) {
	b.WriteString(head)
	column := len(head)
	for _, word := range strings.Fields(text) {
		if column+1+len(word) > textWidth {
			b.WriteString("\n" + indent[:len(indent)-1])
			column = len(indent) - 1
		}
		b.WriteString(" " + word)
		column += 1 + len(word)
	}
	b.WriteByte('\n')
}
