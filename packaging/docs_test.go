package packaging_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNoLinkInThePackagedDocumentsIsDead follows the links of the pages as both packages have them.
func TestNoLinkInThePackagedDocumentsIsDead(t *testing.T) {
	made := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "./docs.sh", made).CombinedOutput(); err != nil {
		t.Fatalf("docs.sh: %v\n%s", err, out)
	}
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, format := range []string{"deb", "rpm"} {
		packaged := map[string]string{} // where it comes from, by where it goes to
		for _, c := range contents(t) {
			if c.Packager == "" || c.Packager == format {
				packaged[c.Dst] = c.Src
			}
		}
		seen := 0
		for to, from := range packaged {
			if path.Ext(to) != ".md" {
				continue
			}
			name, generated := strings.CutPrefix(from, "generated/")
			if !generated {
				t.Errorf("%s: %s is packaged with the repository's links", format, from)
				continue
			}
			text, err := os.ReadFile(filepath.Join(made, name))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range link.FindAllStringSubmatch(string(text), -1) {
				target, _, _ := strings.Cut(m[1], "#")
				if target == "" {
					continue
				}
				seen++
				if file, ours := strings.CutPrefix(target, "https://github.com/multica-rollup/multica-rollup/blob/main/"); ours {
					if _, err := os.Stat(filepath.Join(root, file)); err != nil {
						t.Errorf("%s: %s: %v", to, target, err)
					}
					continue
				}
				if !strings.Contains(target, "://") && packaged[path.Join(path.Dir(to), target)] == "" {
					t.Errorf("the %s has no %s, to which %s links", format, path.Join(path.Dir(to), target), to)
				}
			}
		}
		if seen < 20 {
			t.Errorf("%s: only %d links were found", format, seen)
		}
	}
}

func TestTheDebsReadmeHasFiveLines(t *testing.T) {
	text := read(t, "packaging/deb/README.Debian", nil)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != 5 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if len(line) > 120 {
			t.Errorf("longer than a terminal is wide: %s", line)
		}
	}
	for _, c := range contents(t) {
		if c.Src == "packaging/deb/README.Debian" && c.Dst == "/usr/share/doc/multica-rollup/README.Debian" && c.Packager == "deb" {
			return
		}
	}
	t.Error("the deb does not contain it")
}

// Debian's policy enables what no preset names.
func TestThePresetDisablesEveryTimer(t *testing.T) {
	text := read(t, "systemd/multica-rollup.preset", nil)
	var pattern string
	for line := range strings.SplitSeq(text, "\n") {
		if word, ok := strings.CutPrefix(line, "disable "); ok {
			pattern = word
		} else if line != "" && !strings.HasPrefix(line, "#") {
			t.Errorf("%q enables something", line)
		}
	}
	timers, err := filepath.Glob(filepath.Join(root, "systemd/*.timer"))
	if err != nil || len(timers) == 0 {
		t.Fatalf("timers %q, %v", timers, err)
	}
	post := scripts(t)["rpm/post.sh"]
	for _, timer := range timers {
		name := filepath.Base(timer)
		if ok, err := path.Match(pattern, name); !ok || err != nil {
			t.Errorf("%s is not disabled by %q", name, pattern)
		}
		// A template has instances, which come later.
		if !strings.Contains(name, "@") && strings.Count(post, name) < 2 {
			t.Errorf("rpm/post.sh does not apply presets to %s", name)
		}
	}
}

func TestTheDebSuggestsWhatItWorksWith(t *testing.T) {
	want := []string{"postgresql-client", "prometheus-node-exporter", "curl"}
	if got := nfpm(t).Overrides["deb"].Suggests; strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("suggests %q, want %q", got, want)
	}
}
