package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `# Changelog

Preamble.

## [Unreleased]

### Added

- Something with ` + "`code`" + ` that goes on
  in a second line.

## [1.1.0] - 2026-12-01

### Fixed

- One.
- Two.

## [1.0.0] - 2026-11-01

- First.

[1.1.0]: https://example.org/1.1.0
`

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "CHANGELOG.md")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func output(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := run(args, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestReleaseGetsItsOwnSectionAndTheOlderOnes(t *testing.T) {
	got := output(t, "-version", "1.1.0", "-maintainer", "A <a@example.org>", file(t, sample))
	want := `- semver: 1.1.0-1
  date: 2026-12-01T00:00:00Z
  packager: A <a@example.org>
  deb:
    distributions:
        - stable
    urgency: medium
  changes:
    - note: One.
    - note: Two.
- semver: 1.0.0-1
  date: 2026-11-01T00:00:00Z
  packager: A <a@example.org>
  deb:
    distributions:
        - stable
    urgency: medium
  changes:
    - note: First.
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBuildBetweenReleasesGetsWhatIsUnreleased(t *testing.T) {
	got := output(t, "-version", "1.2.0-dev", "-date", "2026-12-24T12:00:00Z", file(t, sample))
	for _, want := range []string{"semver: 1.2.0~dev-1", "2026-12-24T12:00:00Z", "note: Something with code that goes on in a second line.", "semver: 1.0.0-1"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
}

func TestReleaseNotesAreTheSectionWithoutItsHeading(t *testing.T) {
	if got, want := output(t, "-format", "notes", "-version", "1.1.0", file(t, sample)), "### Fixed\n\n- One.\n- Two.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFaultsAreTold(t *testing.T) {
	for name, args := range map[string][]string{
		"no version":        {file(t, sample)},
		"no date":           {"-version", "9.9.9", file(t, sample)},
		"no file":           {"-version", "1.0.0", "nothing"},
		"no section":        {"-version", "1.0.0", file(t, "# Changelog\n")},
		"malformed heading": {"-version", "1.0.0", file(t, "## 1.0.0\n")},
		"undated release":   {"-version", "1.0.0", file(t, "## [1.0.0]\n")},
	} {
		if err := run(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestOwnChangelogParses(t *testing.T) {
	text, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	sections, err := parse(string(text))
	if err != nil || len(sections[0].bullets()) == 0 {
		t.Errorf("parsing gives %v, %v", sections, err)
	}
}

func TestTheDebsChangelogIsWellFormed(t *testing.T) {
	got := output(t, "-format", "debian", "-version", "1.2.0-dev.3+g1234567", "-date", "2026-12-24T18:00:00+01:00", "-maintainer", "A <a@example.org>", file(t, sample))
	want := `multica-rollup (1.2.0~dev.3+g1234567-1) stable; urgency=medium

  * Something with code that goes on in a second line.

 -- A <a@example.org>  Thu, 24 Dec 2026 17:00:00 +0000

multica-rollup (1.1.0-1) stable; urgency=medium

  * One.
  * Two.

 -- A <a@example.org>  Tue, 01 Dec 2026 00:00:00 +0000

multica-rollup (1.0.0-1) stable; urgency=medium

  * First.

 -- A <a@example.org>  Sun, 01 Nov 2026 00:00:00 +0000
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Our own, line by line as deb-changelog(5) has it.
func TestEveryLineOfTheDebsChangelogHasItsPlace(t *testing.T) {
	got := output(t, "-format", "debian", "-version", "0.0.1", "-date", "2026-12-24T18:00:00Z", "-maintainer", "A <a@example.org>", "../../CHANGELOG.md")
	form := regexp.MustCompile(`^(|multica-rollup \(\S+\) stable; urgency=medium|  \* \S.*|    \S.*| -- A <a@example\.org>  \w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} \+0000)$`)
	continued := 0
	for line := range strings.SplitSeq(strings.TrimSuffix(got, "\n"), "\n") {
		if !form.MatchString(line) || len(line) > 80 && strings.Contains(strings.TrimSpace(line), " ") {
			t.Errorf("out of place: %q", line)
		}
		if strings.HasPrefix(line, "    ") {
			continued++
		}
	}
	if continued == 0 {
		t.Error("no change takes a second line")
	}
}
