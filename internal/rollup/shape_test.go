package rollup_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The bounds on a type of the core: what a reader can keep in mind.
const (
	mostFields  = 12
	mostMethods = 20
)

// plain are types that only hold values, for reports, options and plans: their fields are a list.
var plain = []string{"Options", "BackfillPlan", "Report"}

// core are the packages whose types the bounds are for, by their directories.
var core = []string{".", "engine", "../ledger", "../sizing", "../session", "../throttle", "../horizon", "../verify", "../state", "../pg"}

// TestNoTypeOfTheCoreIsTooLarge looks at the types of the core: few fields, few methods (promoted ones
// counted), and no way back from a type to one that holds it.
func TestNoTypeOfTheCoreIsTooLarge(t *testing.T) {
	set := token.NewFileSet()
	from := importer.ForCompiler(set, "gc", exported(t))
	seen := 0
	for _, dir := range core {
		pkg := typed(t, set, from, dir)
		holds := map[*types.TypeName][]*types.TypeName{}
		for _, name := range pkg.Scope().Names() {
			o, ok := pkg.Scope().Lookup(name).(*types.TypeName)
			if !ok {
				continue
			}
			s, ok := o.Type().Underlying().(*types.Struct)
			if !ok {
				continue
			}
			seen++
			if n := s.NumFields(); n > mostFields && !slices.Contains(plain, name) && hasMethods(o.Type()) {
				t.Errorf("%s: %s has %d fields, at most %d are wanted", dir, name, n, mostFields)
			}
			if n := types.NewMethodSet(types.NewPointer(o.Type())).Len(); n > mostMethods {
				t.Errorf("%s: %s has %d methods, at most %d are wanted", dir, name, n, mostMethods)
			}
			holds[o] = held(pkg, s)
		}
		for o := range holds {
			if path := back(holds, o, o, nil); path != nil {
				t.Errorf("%s: %s holds what holds it: %s", dir, o.Name(), strings.Join(path, " → "))
			}
		}
	}
	if seen < 20 {
		t.Fatalf("only %d types were found", seen)
	}
}

// exported finds what the compiler keeps of a package, by its path.
func exported(t *testing.T) importer.Lookup {
	t.Helper()
	out, err := osexec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", "../...").Output()
	if err != nil {
		t.Fatalf("listing what the packages export: %v", err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		files[path] = file
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(files[path]) }
}

func hasMethods(t types.Type) bool { return types.NewMethodSet(types.NewPointer(t)).Len() > 0 }

// held returns the types of the package that a struct points to.
func held(pkg *types.Package, s *types.Struct) (list []*types.TypeName) {
	for f := range s.Fields() {
		t := f.Type()
		if p, ok := t.(*types.Pointer); ok {
			t = p.Elem()
		}
		if n, ok := t.(*types.Named); ok && n.Obj().Pkg() == pkg {
			list = append(list, n.Obj())
		}
	}
	return list
}

// back finds a way from a type to the one that was begun with.
func back(holds map[*types.TypeName][]*types.TypeName, begin, at *types.TypeName, path []string) []string {
	if slices.Contains(path, at.Name()) {
		return nil
	}
	path = append(path, at.Name())
	for _, next := range holds[at] {
		if next == begin {
			return append(path, begin.Name())
		}
		if found := back(holds, begin, next, slices.Clone(path)); found != nil {
			return found
		}
	}
	return nil
}

func typed(t *testing.T, set *token.FileSet, from types.Importer, dir string) *types.Package {
	t.Helper()
	var files []*ast.File
	for _, path := range sources(t, dir) {
		if filepath.Dir(path) != filepath.Clean(dir) {
			continue
		}
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	config := types.Config{Importer: from, FakeImportC: true}
	pkg, err := config.Check("core/"+dir, set, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

// sources lists the Go files below a directory, tests aside.
func sources(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// TestNobodyAsksWhichEngineItHas: outside of package engine no text compares an engine's name or looks for its type.
func TestNobodyAsksWhichEngineItHas(t *testing.T) {
	found := 0
	for _, path := range sources(t, "../..") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found += strings.Count(string(text), "engine.Engine")
		if strings.Contains(path, "rollup/engine/") {
			continue
		}
		for _, wrong := range []string{".Name() == ", ".Name() != ", `Name() {`, "OneSnapshot", "engine.Engine).", `engine.(`} {
			for i, line := range strings.Split(string(text), "\n") {
				if strings.Contains(line, wrong) && strings.Contains(strings.ToLower(line), "engine") {
					t.Errorf("%s:%d asks which engine it has: %s", path, i+1, strings.TrimSpace(line))
				}
			}
		}
	}
	if found == 0 {
		t.Fatal("no text speaks of engines")
	}
}
