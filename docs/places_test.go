package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThePlacesToTouchExist holds the table at the end of the architecture to the repository.
func TestThePlacesToTouchExist(t *testing.T) {
	p := readPage(t, "docs/architecture.md")
	last := p.spans[len(p.spans)-1]
	if len(last) < 30 {
		t.Fatalf("the last section has only %q", last)
	}
	tests := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(text, -1) {
			tests[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, span := range last {
		switch {
		case strings.HasPrefix(span, "Test"):
			if !tests[span] {
				t.Errorf("there is no test %s", span)
			}
		case strings.Contains(span, "/"):
			if found, err := filepath.Glob(filepath.Join(root, span)); err != nil || len(found) == 0 {
				t.Errorf("there is no %s (%v)", span, err)
			}
		}
	}
}
