package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/lab/lacks"
)

// event is one line of `go test -json` (see `go doc test2json`).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build events, in place of Package
	Test       string
	Elapsed    float64 // seconds
	Output     string
}

// test is what is known of one test or subtest.
type test struct {
	output strings.Builder
	result string // pass, fail, skip or omit; empty while it runs
	parent bool   // has subtests, which are counted in its place
	real   bool   // ran, where a slash in a subtest's own name makes it look like a parent
}

// tally counts the leaves: a test with subtests is counted through them.
type tally struct {
	out     io.Writer
	verbose bool
	tests   map[string]map[string]*test // package → test name, "" for the package itself
	broken  int                         // packages that failed without a failing test of theirs
	builds  map[string]*strings.Builder
	omitted map[string]int // tests not run for want of a part, by the line's two ends
}

func newTally(out io.Writer, verbose bool) *tally {
	return &tally{
		out:     out,
		verbose: verbose,
		tests:   map[string]map[string]*test{},
		builds:  map[string]*strings.Builder{},
		omitted: map[string]int{},
	}
}

// read takes the whole stream. Lines that are no JSON (of the go command itself) are passed on.
func (c *tally) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				fmt.Fprintln(c.out, strings.TrimRight(line, "\n"))
			} else {
				c.take(e)
			}
		}
		if err == io.EOF {
			c.closeUnfinished()
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading test events: %w", err)
		}
	}
}

func (c *tally) take(e event) {
	switch e.Action {
	case "build-output":
		if c.builds[e.ImportPath] == nil {
			c.builds[e.ImportPath] = &strings.Builder{}
		}
		c.builds[e.ImportPath].WriteString(e.Output)
	case "build-fail":
		if text := c.builds[e.ImportPath]; text != nil {
			fmt.Fprint(c.out, text.String())
		}
	case "run":
		c.at(e.Package, e.Test).real = true
	case "output":
		c.at(e.Package, e.Test).output.WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			c.endPackage(e)
		} else {
			c.endTest(e)
		}
	}
}

func (c *tally) at(pkg, name string) *test {
	if c.tests[pkg] == nil {
		c.tests[pkg] = map[string]*test{}
	}
	t := c.tests[pkg][name]
	if t == nil {
		t = &test{}
		c.tests[pkg][name] = t
		if cut := strings.LastIndex(name, "/"); cut > 0 {
			c.at(pkg, name[:cut]).parent = true
		}
	}
	return t
}

func (c *tally) endTest(e event) {
	t := c.at(e.Package, e.Test)
	t.result, t.real = e.Action, true
	if version, part, ok := lacks.Parse(t.output.String()); ok && e.Action == "skip" {
		t.result = "omit"
		c.omitted[lacks.Reason(version, part)]++
		return
	}
	if e.Action != "pass" {
		fmt.Fprint(c.out, t.output.String())
	} else if c.verbose {
		fmt.Fprintf(c.out, "--- PASS: %s (%.1fs)\n", e.Test, e.Elapsed)
	}
}

func (c *tally) endPackage(e event) {
	switch {
	case e.Action == "skip": // no test files
	case e.Action == "pass":
		fmt.Fprintf(c.out, "ok    %s  %.1fs\n", e.Package, e.Elapsed)
	default:
		c.unfinished(e.Package)
		if !c.failedIn(e.Package) {
			c.broken++
			fmt.Fprint(c.out, c.at(e.Package, "").output.String())
		}
		fmt.Fprintf(c.out, "FAIL  %s  %.1fs\n", e.Package, e.Elapsed)
	}
	c.at(e.Package, "").result = e.Action
}

// unfinished counts what was running when the test binary died (a panic, a timeout) as failed.
func (c *tally) unfinished(pkg string) {
	for name, t := range c.tests[pkg] {
		if name != "" && t.real && t.result == "" {
			t.result = "fail"
			fmt.Fprintf(c.out, "--- FAIL: %s (did not end)\n%s", name, t.output.String())
		}
	}
}

// closeUnfinished deals with a stream that was cut off.
func (c *tally) closeUnfinished() {
	for pkg := range c.tests {
		if c.at(pkg, "").result == "" {
			c.endPackage(event{Action: "fail", Package: pkg})
		}
	}
}

func (c *tally) failedIn(pkg string) bool {
	for name, t := range c.tests[pkg] {
		if name != "" && (t.result == "fail" || t.result == "skip") {
			return true
		}
	}
	return false
}

// writeOmitted says how many tests did not run on a PostgreSQL that lacks a part, a line for each part.
func (c *tally) writeOmitted() {
	for _, reason := range slices.Sorted(maps.Keys(c.omitted)) {
		where, why, _ := strings.Cut(reason, ": ")
		tests := "tests"
		if c.omitted[reason] == 1 {
			tests = "test"
		}
		fmt.Fprintf(c.out, "%s: %d %s, %s\n", where, c.omitted[reason], tests, why)
	}
}

// totals counts a skipped test as failed: a skip hides a missing dependency. What a listed
// build of PostgreSQL lacks is the exception: it counts as neither. A parent that failed
// while all its subtests passed counts as one failure.
func (c *tally) totals() (passed, failed int) {
	failed = c.broken
	for _, tests := range c.tests {
		for name, t := range tests {
			switch {
			case name == "" || !t.real || t.result == "omit":
			case t.parent && (t.result == "pass" || failsBelow(tests, name)):
			case t.result == "pass":
				passed++
			default:
				failed++
			}
		}
	}
	return passed, failed
}

func failsBelow(tests map[string]*test, parent string) bool {
	for name, t := range tests {
		if strings.HasPrefix(name, parent+"/") && t.result != "pass" && t.result != "omit" {
			return true
		}
	}
	return false
}
