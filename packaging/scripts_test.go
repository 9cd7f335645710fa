package packaging_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// knows lists, by the kind of a unit, the scripts that have to know every one of
// them: what stops, restarts, disables and forgets it.
var knows = map[string][]string{
	"timer":   {"deb/postinst", "deb/prerm", "deb/postrm", "rpm/postun.sh", "rpm/preun.sh"},
	"service": {"deb/prerm", "rpm/preun.sh"},
}

func TestEveryMaintainerScriptKnowsEveryUnit(t *testing.T) {
	made := scripts(t)
	for kind, names := range knows {
		units, err := fs.Glob(os.DirFS(root), "systemd/*."+kind)
		if err != nil || len(units) == 0 {
			t.Fatalf("found %v, %v", units, err)
		}
		for _, path := range units {
			unit := strings.TrimPrefix(path, "systemd/")
			// Of a template, a script names all instances; postrm has the template's name, and adds the rest.
			wanted := []string{unit}
			if before, after, isTemplate := strings.Cut(unit, "@"); isTemplate {
				wanted = []string{"'" + before + "@*" + after + "'", before + "@"}
			}
			for _, name := range names {
				if !holdsOne(made[name], wanted) {
					t.Errorf("packaging/%s does not know %s: want one of %q", name, unit, wanted)
				}
			}
		}
	}
}

// holdsOne tells whether one of the words stands in the text, as a word of its own.
func holdsOne(text string, words []string) bool {
	for _, word := range words {
		if regexp.MustCompile(`(^|[\s"])` + regexp.QuoteMeta(word) + `($|[\s";])`).MatchString(text) {
			return true
		}
	}
	return false
}

// A list that is empty, or that nothing fills in, would be an argument of systemctl's.
func TestNothingIsLeftToFillIntoAScript(t *testing.T) {
	for name, text := range scripts(t) {
		if left := regexp.MustCompile(`@[A-Z_]+@`).FindString(text); left != "" {
			t.Errorf("packaging/%s: scripts.sh fills nothing into %s", name, left)
		}
	}
}
