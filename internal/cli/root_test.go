package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryCommandIsPartOfTheProgram: one that no other adds would be known to nobody.
func TestEveryCommandIsPartOfTheProgram(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	made := regexp.MustCompile(`(?m)^func (new\w+Cmd)\(`).FindAllStringSubmatch(source.String(), -1)
	added := 0
	for _, function := range made {
		if strings.Count(source.String(), function[1]+"(") > 1 {
			added++
		} else {
			t.Errorf("no command adds %s: root.go, or the command above it", function[1])
		}
	}
	var count func(*cobra.Command) int
	count = func(cmd *cobra.Command) int {
		n := 1
		for _, below := range cmd.Commands() {
			if below.Hidden {
				continue
			}
			if below.Short == "" || below.GroupID == "" && !below.Parent().HasParent() {
				t.Errorf("%s has no short help, or no group", below.CommandPath())
			}
			n += count(below)
		}
		return n
	}
	if n := count(newRootCmd(&app{})); n != added {
		t.Errorf("%d commands can be typed, %d functions make one", n, added)
	}
}
