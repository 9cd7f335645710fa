// Package packaging_test holds the two descriptions of the packages together, and
// both to the files that the repository has to offer.
package packaging_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// content is an entry of "contents", which nfpm and goreleaser spell alike.
type content struct {
	Src      string `yaml:"src"`
	Dst      string `yaml:"dst"`
	Type     string `yaml:"type"`
	Packager string `yaml:"packager"`
	FileInfo struct {
		Mode  fs.FileMode `yaml:"mode"`
		Owner string      `yaml:"owner"`
		Group string      `yaml:"group"`
	} `yaml:"file_info"`
}

// shared is what both spell alike.
type shared struct {
	Section     string   `yaml:"section"`
	Priority    string   `yaml:"priority"`
	Vendor      string   `yaml:"vendor"`
	Homepage    string   `yaml:"homepage"`
	License     string   `yaml:"license"`
	Release     string   `yaml:"release"`
	Description string   `yaml:"description"`
	Changelog   string   `yaml:"changelog"`
	Recommends  []string `yaml:"recommends"`
	Deb         struct {
		Compression string `yaml:"compression"`
	} `yaml:"deb"`
	RPM struct {
		Group       string `yaml:"group"`
		Summary     string `yaml:"summary"`
		Compression string `yaml:"compression"`
		Buildhost   string `yaml:"buildhost"`
	} `yaml:"rpm"`
	Contents []content `yaml:"contents"`
}

// override is what differs between deb and rpm; only the name of the dependencies differs between the tools.
type override struct {
	Depends      []string          `yaml:"depends"`
	Dependencies []string          `yaml:"dependencies"`
	Recommends   []string          `yaml:"recommends"`
	Suggests     []string          `yaml:"suggests"`
	Scripts      map[string]string `yaml:"scripts"`
}

type nfpmFile struct {
	shared    `yaml:",inline"`
	Name      string              `yaml:"name"`
	Depends   []string            `yaml:"depends"`
	Overrides map[string]override `yaml:"overrides"`
}

type goreleaserFile struct {
	Builds []struct {
		Flags   []string `yaml:"flags"`
		Ldflags []string `yaml:"ldflags"`
	} `yaml:"builds"`
	NFPMs []releaserPackage `yaml:"nfpms"`
}

type releaserPackage struct {
	shared       `yaml:",inline"`
	PackageName  string              `yaml:"package_name"`
	Formats      []string            `yaml:"formats"`
	Dependencies []string            `yaml:"dependencies"`
	Overrides    map[string]override `yaml:"overrides"`
}

const root = ".."

func read(t *testing.T, path string, into any) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := yaml.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return string(text)
}

func nfpm(t *testing.T) nfpmFile {
	t.Helper()
	var file nfpmFile
	read(t, "packaging/nfpm.yaml", &file)
	return file
}

// contents returns the packages' files, with those that a pattern stands for in its place.
func contents(t *testing.T) []content {
	t.Helper()
	var all []content
	for _, c := range nfpm(t).Contents {
		if !strings.Contains(c.Src, "*") {
			all = append(all, c)
			continue
		}
		found, err := fs.Glob(os.DirFS(root), c.Src)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s stands for %v, %v", c.Src, found, err)
		}
		dir := c.Dst
		for _, path := range found {
			c.Src, c.Dst = path, dir+filepath.Base(path)
			all = append(all, c)
		}
	}
	return all
}

// scripts returns the maintainer scripts as generate.sh has them made, by their path below generated/.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "./scripts.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("scripts.sh: %v\n%s", err, out)
	}
	made := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode()&0o111 == 0 {
			t.Errorf("%s cannot be executed", path)
		}
		text, readErr := os.ReadFile(path)
		made[strings.TrimPrefix(path, dir+"/")] = string(text)
		return errors.Join(err, readErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestGoreleaserMakesTheSamePackages(t *testing.T) {
	var releaser goreleaserFile
	read(t, ".goreleaser.yaml", &releaser)
	if len(releaser.NFPMs) != 2 || len(releaser.Builds) != 1 {
		t.Fatalf("want one build, rpms and debs, found %d and %d", len(releaser.Builds), len(releaser.NFPMs))
	}
	own, other, debs := nfpm(t), releaser.NFPMs[0], releaser.NFPMs[1]
	if !slices.Equal(other.Formats, []string{"rpm"}) || !slices.Equal(debs.Formats, []string{"deb"}) {
		t.Errorf("formats %q and %q", other.Formats, debs.Formats)
	}
	// nfpm makes no changelog for the deb: build.sh takes the line away.
	if debs.Changelog != "" || !strings.Contains(read(t, "packaging/build.sh", nil), "sed '/^changelog:/d'") {
		t.Error("the deb has two changelogs")
	}
	debs.Changelog, debs.Formats = other.Changelog, other.Formats
	if diff := cmp.Diff(other, debs, cmp.AllowUnexported(releaserPackage{}, shared{})); diff != "" {
		t.Errorf("rpms and debs differ by more than the changelog:\n%s", diff)
	}

	// goreleaser adds the binary by itself.
	own.Contents = slices.DeleteFunc(own.Contents, func(c content) bool { return c.Dst == "/usr/bin/multica-rollup" })
	if diff := cmp.Diff(own.shared, other.shared, cmp.AllowUnexported(shared{})); diff != "" {
		t.Errorf("the packages differ (-nfpm.yaml +.goreleaser.yaml):\n%s", diff)
	}
	if own.Name != other.PackageName {
		t.Errorf("the names differ: %s and %s", own.Name, other.PackageName)
	}
	if diff := cmp.Diff(own.Depends, other.Dependencies); diff != "" {
		t.Errorf("the dependencies differ (-nfpm.yaml +.goreleaser.yaml):\n%s", diff)
	}
	for format, o := range own.Overrides {
		o.Depends, o.Dependencies = nil, o.Depends
		own.Overrides[format] = o
	}
	if diff := cmp.Diff(own.Overrides, other.Overrides); diff != "" {
		t.Errorf("deb and rpm differ (-nfpm.yaml +.goreleaser.yaml):\n%s", diff)
	}
}

// A file without a mode has that of the checkout, which follows the umask of who builds.
func TestEveryPackagedFileHasAModeOfItsOwn(t *testing.T) {
	for _, c := range contents(t) {
		if c.Type != "symlink" && c.FileInfo.Mode == 0 {
			t.Errorf("%s (%s) has no mode in packaging/nfpm.yaml", c.Dst, c.Packager)
		}
	}
}

func TestGoreleaserBuildsWithTheSameFlags(t *testing.T) {
	var releaser goreleaserFile
	read(t, ".goreleaser.yaml", &releaser)
	script := read(t, "packaging/build.sh", nil)
	build := releaser.Builds[0]
	if want := "go build " + strings.Join(build.Flags, " ") + " -ldflags"; !strings.Contains(script, want) {
		t.Errorf("build.sh does not build with %q", want)
	}
	flags := strings.NewReplacer(
		"github.com/multica-rollup/multica-rollup/internal", "$module/internal",
		"{{ .Version }}", "$VERSION", "{{ .FullCommit }}", "$commit", "{{ .CommitDate }}", "$date",
	).Replace(strings.Join(build.Ldflags, " "))
	if want := `ldflags="` + flags + `"`; !strings.Contains(script, want) {
		t.Errorf("build.sh has other linker flags than %s", want)
	}
}

// shipped lists the directories whose every file belongs into the packages, with
// what is not for users.
var shipped = map[string]func(name string) bool{
	"systemd": func(name string) bool { return strings.HasSuffix(name, "_test.go") },
	"configs": func(name string) bool { return strings.Contains(name, "_test.") },
}

func TestEveryFileForUsersIsPackagedForBothFormats(t *testing.T) {
	for _, format := range []string{"deb", "rpm"} {
		packaged := map[string]bool{}
		for _, c := range contents(t) {
			if c.Packager == "" || c.Packager == format {
				packaged[c.Src] = true
			}
		}
		for dir, skip := range shipped {
			err := fs.WalkDir(os.DirFS(root), dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() || skip(d.Name()) {
					return err
				}
				if !packaged[path] {
					t.Errorf("the %s does not contain %s", format, path)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		pages, err := filepath.Glob(filepath.Join(root, "packaging/man/*.[1-8]"))
		if err != nil || len(pages) == 0 {
			t.Fatalf("manual pages: %v, %v", pages, err)
		}
		for _, page := range pages {
			if want := fmt.Sprintf("generated/%s.gz", filepath.Base(page)); !packaged[want] {
				t.Errorf("the %s does not contain %s", format, want)
			}
		}
	}
}

func TestEveryPackagedFileExists(t *testing.T) {
	for _, c := range contents(t) {
		if c.Type == "dir" || c.Type == "symlink" || strings.HasPrefix(c.Src, "generated/") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, c.Src)); err != nil {
			t.Errorf("%s: %v", c.Dst, err)
		}
	}
	made := scripts(t)
	for format, o := range nfpm(t).Overrides {
		for name, script := range o.Scripts {
			if text := made[strings.TrimPrefix(script, "generated/")]; !strings.HasPrefix(text, "#!/bin/sh\n") {
				t.Errorf("the %s's %s is no script: %q", format, name, text)
			}
		}
	}
}

func TestConfigurationIsRootsAloneAndSurvivesUpgrades(t *testing.T) {
	for _, c := range nfpm(t).Contents {
		if c.Dst == "/etc/multica/rollup.toml" {
			if c.Type != "config|noreplace" || c.FileInfo.Mode != 0o600 || c.Packager != "" {
				t.Errorf("the configuration is %+v", c)
			}
			return
		}
	}
	t.Error("there is no configuration")
}
