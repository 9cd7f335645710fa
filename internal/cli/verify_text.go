package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/verify"
)

// printVerified prints a recount for people; head is off where the log has the first line.
func printVerified(out io.Writer, r *verify.Report, head bool) error {
	var b bytes.Buffer
	if head {
		fmt.Fprintln(&b, verifyLine(r))
	}
	if !r.Since.IsZero() {
		fmt.Fprintf(&b, "since: %s\n", report.Stamp(r.Since))
	}
	if n := r.NotDue; n.Sum() > 0 {
		fmt.Fprintf(&b, "not due yet: %s keys (%s ahead of the watermark %s, %s queued, %s owed)\n",
			report.Count(n.Sum()), report.Count(n.Ahead), report.Stamp(r.Watermark), report.Count(n.Queued), report.Count(n.Owed))
	}
	if r.GivenUp > 0 {
		fmt.Fprintf(&b, "given up: %s keys before %s; to roll them up: multica-rollup backfill\n", report.Count(r.GivenUp), report.Stamp(r.GivenUpBefore))
	}
	if r.NotRecomputed > 0 {
		fmt.Fprintf(&b, "not recomputed since the cost columns came: %s keys; to do so: multica-rollup backfill\n", report.Count(r.NotRecomputed))
	}
	if k := r.Kept; k.Rows > 0 {
		fmt.Fprintf(&b, "kept: %s rows of %s deleted agents, %s tokens\n", report.Count(k.Rows), report.Count(k.Agents), report.Count(k.Tokens))
	}
	for _, d := range r.First {
		printDifference(&b, d)
	}
	if more := r.Wrong.Sum() - int64(len(r.First)); more > 0 && len(r.First) > 0 {
		fmt.Fprintf(&b, "  and %s more\n", report.Count(more))
	}
	switch p := r.Repair; {
	case p != nil:
		fmt.Fprintf(&b, "repair: %s keys queued, %s hourly rows written or deleted\n", report.Count(p.Queued), report.Count(p.Rows))
		if p.Holder != "" {
			fmt.Fprintf(&b, "lock 4246 is held by %s; the next run goes on\n", p.Holder)
		}
	case r.Wrong.Sum() > 0:
		fmt.Fprintf(&b, "to repair: %s\n", repairHint)
	}
	_, err := out.Write(b.Bytes())
	return err
}

func printDifference(b *bytes.Buffer, d verify.Difference) {
	project := d.Project
	if project == "" {
		project = "none"
	}
	fmt.Fprintf(b, "  %s %s %s/%s\n    workspace %s project %s\n    agent %s runtime %s\n", d.Kind, report.Stamp(d.Hour), d.Provider, d.Model,
		d.Workspace, project, d.Agent, d.Runtime)
	if d.Kind != verify.Differing {
		return
	}
	for _, c := range d.Counters {
		fmt.Fprintf(b, "    %s\n", counterText(c))
	}
}

// differenceLine is a wrong key in one line.
func differenceLine(d verify.Difference) string {
	text := fmt.Sprintf("%s: %s %s/%s of agent %s", d.Kind, report.Stamp(d.Hour), d.Provider, d.Model, d.Agent)
	if d.Kind == verify.Differing {
		var list []string
		for _, c := range d.Counters {
			list = append(list, counterText(c))
		}
		text += ": " + strings.Join(list, ", ")
	}
	return text
}

func counterText(c verify.Counter) string {
	value := func(n *int64) string {
		if n == nil {
			return "unset"
		}
		return report.Count(*n)
	}
	return fmt.Sprintf("%s is %s, should be %s", c.Column, value(c.Hourly), value(c.Raw))
}

// enginesLine is a comparison of the engines in one line.
func enginesLine(r *verify.EngineReport) string {
	if r.Equal {
		return fmt.Sprintf("equal: set and function wrote the same %s hourly rows in %d windows", report.Count(r.Rows), len(r.Windows))
	}
	return "different: set and function disagree; set engine = \"function\" in the configuration and report this"
}

func printEngines(out io.Writer, r *verify.EngineReport) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, enginesLine(r))
	for _, w := range r.Windows {
		fmt.Fprintf(&b, "  %-7s %s to %s  %s events, %s rows, set %s, function %s\n", w.Kind, report.Stamp(w.From), report.Stamp(w.To),
			report.Count(w.Events), report.Count(w.Rows), report.Duration(w.Set()), report.Duration(w.Function()))
		for _, d := range w.Differences {
			fmt.Fprintf(&b, "    set:      %s\n    function: %s\n", d.Set, d.Function)
		}
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "  skipped: %s\n", s)
	}
	fmt.Fprintln(&b, "all of it was rolled back; the dead rows it leaves are vacuum's")
	_, err := out.Write(b.Bytes())
	return err
}
