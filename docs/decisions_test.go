package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sections are the headings of each decision, in this order.
var sections = regexp.MustCompile(`(?s)^# .*\n## Context\n.*\n## Decision.*\n## Considered\n.*\n## (Consequences\n.*\n## )?Tested by\n`)

// cited are the tests and files that a decision says it is tested by.
var cited = regexp.MustCompile("`(Test[A-Z]\\w+|(?:internal|packaging|systemd|docs|configs)/[\\w./-]+)`")

func TestDecisionsAreWholeAndWhatTestsThemExists(t *testing.T) {
	var tests strings.Builder
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		tests.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile("decisions/README.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = slices.DeleteFunc(pages, func(page string) bool { return page == "decisions/README.md" })
	if len(pages) < 7 {
		t.Errorf("there are %d decisions: %q", len(pages), pages)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(index), "("+filepath.Base(page)+")") {
			t.Errorf("%s is not in the index", page)
		}
		if !sections.Match(text) {
			t.Errorf("%s lacks one of its sections", page)
		}
		if lines := strings.Count(string(text), "\n"); lines < 25 || lines > 45 {
			t.Errorf("%s has %d lines, want one short page", page, lines)
		}
		found := cited.FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s names nothing that tests it", page)
		}
		for _, m := range found {
			name := m[1]
			if strings.HasPrefix(name, "Test") {
				if !strings.Contains(tests.String(), "func "+name+"(") {
					t.Errorf("%s: there is no test %s", page, name)
				}
			} else if _, err := os.Stat(filepath.Join("..", name)); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}
