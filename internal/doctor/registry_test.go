package doctor_test

import (
	"os"
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
