package doctor_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/doctor"
)

// TestEveryCheckHasACauseMadeForReal holds the registry and the tables together:
// the very tables that the tests go through, here and on booted hosts. What a
// stand-in tells does not count.
func TestEveryCheckHasACauseMadeForReal(t *testing.T) {
	made := map[string]int{}
	count := func(causes []cause) {
		if len(causes) == 0 {
			t.Error("a table of causes is empty")
		}
		for _, c := range causes {
			if !c.standIn {
				made[c.id]++
			}
		}
	}
	count(sharedCauses())
	count(mountCauses())
	for _, group := range allClusterCauses() {
		count(group.causes(nil))
	}
	onHosts := idsOnHosts(t)
	for _, id := range onHosts {
		made[id]++
	}
	for _, c := range doctor.All() {
		if c.ID != "orphans" && made[c.ID] == 0 { // which only informs: TestDeletedAgentsAreInformation
			t.Errorf("nothing makes a cause that %s has to name", c.ID)
		}
	}
	for id := range made {
		if !slices.ContainsFunc(doctor.All(), func(c doctor.Check) bool { return c.ID == id }) {
			t.Errorf("a cause is to be named by %s, which is no check", id)
		}
	}
	for _, c := range unitCauses() {
		if !slices.Contains(onHosts, c.id) {
			t.Errorf("a stand-in tells of %s, and no booted host has it", c.id)
		}
	}
}

// idsOnHosts reads the table of the end-to-end tests, which are built with a tag
// of their own: the checks that its causes name.
func idsOnHosts(t *testing.T) (ids []string) {
	t.Helper()
	const path = "../../packaging/e2e/causes_test.go"
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		field, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		name, ok := field.Key.(*ast.Ident)
		if !ok || name.Name != "id" {
			return true
		}
		value, ok := field.Value.(*ast.BasicLit)
		if !ok {
			t.Errorf("%s has an id that is no literal", path)
			return true
		}
		id, err := strconv.Unquote(value.Value)
		if err != nil {
			t.Error(err)
		}
		ids = append(ids, id)
		return true
	})
	if len(ids) == 0 {
		t.Fatalf("%s has no causes", path)
	}
	return ids
}
