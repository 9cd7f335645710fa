package doctor_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/doctor"
)

func TestEveryCheckComesAfterWhatItRefersTo(t *testing.T) {
	seen := map[string]bool{}
	id := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	for _, c := range doctor.All() {
		if !id.MatchString(c.ID) || c.Title == "" || seen[c.ID] {
			t.Errorf("id %q, title %q: empty, of another form, or twice", c.ID, c.Title)
		}
		for _, other := range append(append([]string{}, c.Needs...), c.ExplainedBy...) {
			if !seen[other] {
				t.Errorf("%s refers to %s, which is no check before it", c.ID, other)
			}
		}
		seen[c.ID] = true
	}
}

// TestEveryFileOfACheckIsInTheRegistry: one that is not in it would never be run.
func TestEveryFileOfACheckIsInTheRegistry(t *testing.T) {
	registry, err := os.ReadFile("registry.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("check_*.go")
	if err != nil || len(files) != len(doctor.All()) {
		t.Errorf("%d files check_*.go, %v; want one for each of the %d checks", len(files), err, len(doctor.All()))
	}
	made := regexp.MustCompile(`(?m)^func (\w+)\([^)]*\) Check \{$`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		functions := made.FindAllSubmatch(text, -1)
		if len(functions) != 1 {
			t.Errorf("%s makes %d checks, want one", file, len(functions))
		}
		for _, f := range functions {
			if call := "\t\t" + string(f[1]) + "(),\n"; !strings.Contains(string(registry), call) {
				t.Errorf("registry.go does not list %s of %s", f[1], file)
			}
		}
	}
}

func TestTheManualPageNamesEveryCheck(t *testing.T) {
	page, err := os.ReadFile("../../packaging/man/multica-rollup.1")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), ".SS doctor\n")
	section, _, _ = strings.Cut(section, ".SS ")
	var named, checks []string
	for _, m := range regexp.MustCompile(`(?m)^\.BR ([a-z\\-]+) [,.]$`).FindAllStringSubmatch(section, -1) {
		named = append(named, strings.ReplaceAll(m[1], `\-`, "-"))
	}
	for _, c := range doctor.All() {
		checks = append(checks, c.ID)
	}
	if got, want := strings.Join(named, " "), strings.Join(checks, " "); got != want {
		t.Errorf("the manual page names\n%s\nthe checks are\n%s", got, want)
	}
}
