package journal

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryKindOfEventIsLoggedSomewhere: an explanation of what never happens helps nobody.
func TestEveryKindOfEventIsLoggedSomewhere(t *testing.T) {
	source, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^\t([A-Z]\w+): +\{"[a-z-]+", "[0-9a-f]{32}"\}`).FindAllSubmatch(source, -1)
	if len(names) != len(kinds)-1 {
		t.Fatalf("found %d kinds in event.go, there are %d", len(names), len(kinds)-1)
	}
	var program strings.Builder
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		program.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !regexp.MustCompile(`\bjournal\.` + string(name[1]) + `\b`).MatchString(program.String()) {
			t.Errorf("nothing logs %s", name[1])
		}
	}
}
