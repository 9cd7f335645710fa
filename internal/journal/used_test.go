package journal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// TestEveryDeclaredKindIsInTheTable: one beyond its end would have no name and no MESSAGE_ID.
func TestEveryDeclaredKindIsInTheTable(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared, listed []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			if first, ok := n.Specs[0].(*ast.ValueSpec); ok && n.Tok == token.CONST {
				if kind, ok := first.Type.(*ast.Ident); ok && kind.Name == "Event" {
					for _, spec := range n.Specs {
						declared = append(declared, spec.(*ast.ValueSpec).Names[0].Name)
					}
				}
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok {
				listed = append(listed, key.Name)
			}
		}
		return true
	})
	slices.Sort(declared)
	slices.Sort(listed)
	if diff := cmp.Diff(declared, listed); len(declared) == 0 || diff != "" {
		t.Errorf("events of event.go (-constants +table kinds):\n%s", diff)
	}
}
