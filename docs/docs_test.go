// Package docs_test holds the documentation to the program, and its two languages to each other.
package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// root is the repository.
const root = ".."

// page is a Markdown file, taken apart.
type page struct {
	path     string // from the repository's root
	headings []heading
	fences   []fence
	spans    [][]string // inline code, by section; the first is before the first heading
	links    []string
}

type heading struct {
	level int
	text  string
}

// fence is a fenced block of code.
type fence struct {
	language string
	lines    []string
}

var (
	headingLine = regexp.MustCompile(`^(#{1,6}) (.+)$`)
	codeSpan    = regexp.MustCompile("`([^`]+)`")
	link        = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

func readPage(t *testing.T, path string) *page {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{path: path, spans: [][]string{nil}}
	var open *fence
	var indent string
	var prose strings.Builder // of a section: a span may go on in the next line
	closeSection := func() {
		for _, m := range codeSpan.FindAllStringSubmatch(prose.String(), -1) {
			p.spans[len(p.spans)-1] = append(p.spans[len(p.spans)-1], strings.Join(strings.Fields(m[1]), " "))
		}
		prose.Reset()
	}
	for _, line := range strings.Split(string(data), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case open != nil && trimmed == "```":
			p.fences = append(p.fences, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, strings.TrimPrefix(line, indent))
		case strings.HasPrefix(trimmed, "```"):
			indent, _, _ = strings.Cut(line, "```")
			open = &fence{language: strings.TrimPrefix(trimmed, "```")}
		case headingLine.MatchString(line):
			m := headingLine.FindStringSubmatch(line)
			closeSection()
			p.headings = append(p.headings, heading{len(m[1]), m[2]})
			p.spans = append(p.spans, nil)
		default:
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				p.links = append(p.links, m[1])
			}
			prose.WriteString(line + "\n")
		}
	}
	closeSection()
	if open != nil || len(p.headings) == 0 {
		t.Fatalf("%s: a fence that is never closed, or no heading", path)
	}
	return p
}

// anchor returns the fragment by which a heading is linked to, as GitHub makes it.
func (h heading) anchor() string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.ReplaceAll(h.text, "`", "")) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// pages returns every page of prose, as paths from the repository's root.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			relative, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, relative)
		}
	}
	if len(all) < 5 {
		t.Fatalf("found only %q", all)
	}
	return all
}

func TestEveryLinkWithinTheRepositoryLeadsSomewhere(t *testing.T) {
	for _, path := range pages(t) {
		for _, target := range readPage(t, path).links {
			if strings.Contains(target, "://") {
				continue
			}
			file, fragment, _ := strings.Cut(target, "#")
			there := path
			if file != "" {
				there = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(filepath.Join(root, there)); err != nil {
				t.Errorf("%s: link to %s: %v", path, target, err)
				continue
			}
			if fragment == "" {
				continue
			}
			found := false
			for _, h := range readPage(t, there).headings {
				found = found || h.anchor() == fragment
			}
			if !found {
				t.Errorf("%s: link to %s: %s has no such heading", path, target, there)
			}
		}
	}
}
