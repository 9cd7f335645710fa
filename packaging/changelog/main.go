// Command changelog turns CHANGELOG.md into what packages and releases want.
//
//	changelog -format chglog -version 1.2.3 -date 2026-11-23T00:00:00Z CHANGELOG.md
//	changelog -format debian -version 1.2.3 -date 2026-11-23T00:00:00Z CHANGELOG.md
//	changelog -format notes -version 1.2.3 CHANGELOG.md
//
// chglog is the YAML that nfpm renders as an rpm's changelog; debian is a deb's, of
// which nfpm's own rendering makes each further line of an item an item; notes is
// the text of a release. A version without a section of its own is a build
// between releases, and gets the section [Unreleased] with the date given.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "changelog:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("changelog", flag.ContinueOnError)
	format := flags.String("format", "chglog", "chglog, debian or notes")
	version := flags.String("version", "", "version being built, without a leading v")
	date := flags.String("date", "", "RFC 3339 time of the build, for a version without a section")
	maintainer := flags.String("maintainer", "", "`NAME <MAIL>` in the packages' changelogs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *version == "" {
		return errors.New("want -version and the path of the changelog")
	}
	text, err := os.ReadFile(flags.Arg(0))
	if err != nil {
		return fmt.Errorf("reading the changelog: %w", err)
	}
	sections, err := parse(string(text))
	if err != nil {
		return err
	}
	if sections, err = upTo(sections, *version, *date); err != nil {
		return err
	}
	switch *format {
	case "chglog":
		return writeChglog(out, sections, *maintainer)
	case "debian":
		return writeDebian(out, sections, *maintainer)
	case "notes":
		_, err := fmt.Fprintln(out, strings.TrimSpace(sections[0].body))
		return err
	}
	return fmt.Errorf("unknown format %q", *format)
}

// section is one version's part of the changelog.
type section struct {
	version string // "" for Unreleased
	date    time.Time
	body    string // Markdown below the heading
}

var heading = regexp.MustCompile(`^## \[([^\]]+)\](?: - (\d{4}-\d{2}-\d{2}))?$`)

// parse splits a Keep-a-Changelog file into its sections, newest first.
func parse(text string) ([]section, error) {
	var sections []section
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "## ") {
			match := heading.FindStringSubmatch(line)
			if match == nil {
				return nil, fmt.Errorf("line %d: %q is no heading of the form ## [1.2.3] - 2006-01-02", i+1, line)
			}
			s := section{version: match[1]}
			if s.version == "Unreleased" {
				s.version = ""
			} else if err := dated(&s, match[2]); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			sections = append(sections, s)
			continue
		}
		if strings.HasPrefix(line, "[") && strings.Contains(line, "]: ") {
			continue // link targets at the end
		}
		if len(sections) > 0 {
			sections[len(sections)-1].body += line + "\n"
		}
	}
	if len(sections) == 0 {
		return nil, errors.New("the changelog has no section")
	}
	return sections, nil
}

func dated(s *section, date string) (err error) {
	if s.date, err = time.Parse(time.DateOnly, date); err != nil {
		return fmt.Errorf("reading the date of version %s: %w", s.version, err)
	}
	return nil
}

// upTo returns the sections from the version's own on; without one, Unreleased
// becomes it, dated as given.
func upTo(sections []section, version, date string) ([]section, error) {
	for i, s := range sections {
		if s.version == version {
			return sections[i:], nil
		}
	}
	built, err := time.Parse(time.RFC3339, date)
	if err != nil {
		return nil, fmt.Errorf("version %s has no section, so -date has to say when it was built: %w", version, err)
	}
	own := section{version: version, date: built}
	if sections[0].version == "" {
		own.body, sections = sections[0].body, sections[1:]
	}
	if strings.TrimSpace(own.body) == "" {
		own.body = "- a build between releases"
	}
	return append([]section{own}, sections...), nil
}

// bullets returns the changes of a section, one string each, on one line.
func (s section) bullets() []string {
	var changes []string
	for line := range strings.SplitSeq(s.body, "\n") {
		switch text := strings.TrimSpace(line); {
		case text == "" || strings.HasPrefix(text, "#"):
		case strings.HasPrefix(line, "- "):
			changes = append(changes, strings.TrimPrefix(line, "- "))
		case len(changes) > 0:
			changes[len(changes)-1] += " " + text
		}
	}
	return changes
}

// packageVersion is the version as nfpm makes it of ours: a prerelease sorts
// before its release by a tilde, and the packaging is always the first.
func packageVersion(version string) string {
	version, build, _ := strings.Cut(version, "+")
	version = strings.Replace(version, "-", "~", 1)
	if build != "" {
		version += "+" + build
	}
	return version + "-1"
}

// chglogEntry is an entry of the file that nfpm's "changelog" names.
type chglogEntry struct {
	Semver   string         `yaml:"semver"`
	Date     time.Time      `yaml:"date"`
	Packager string         `yaml:"packager"`
	Deb      map[string]any `yaml:"deb"`
	Changes  []chglogChange `yaml:"changes"`
}

type chglogChange struct {
	Note string `yaml:"note"`
}

// writeDebian writes what deb-changelog(5) describes.
func writeDebian(out io.Writer, sections []section, maintainer string) error {
	var b strings.Builder
	for _, s := range sections {
		if s.version == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "multica-rollup (%s) stable; urgency=medium\n\n", packageVersion(s.version))
		for _, change := range s.bullets() {
			b.WriteString("  * " + strings.ReplaceAll(wrap(plain(change), 74), "\n", "\n    ") + "\n")
		}
		fmt.Fprintf(&b, "\n -- %s  %s\n", maintainer, s.date.UTC().Format(time.RFC1123Z))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// plain is a change as readers show it that render no Markdown.
func plain(change string) string { return strings.ReplaceAll(change, "`", "") }

func writeChglog(out io.Writer, sections []section, maintainer string) error {
	var entries []chglogEntry
	for _, s := range sections {
		if s.version == "" {
			continue
		}
		entry := chglogEntry{
			Semver: packageVersion(s.version), Date: s.date.UTC(), Packager: maintainer,
			Deb: map[string]any{"urgency": "medium", "distributions": []string{"stable"}},
		}
		for _, change := range s.bullets() {
			entry.Changes = append(entry.Changes, chglogChange{Note: wrap(plain(change), 74)}) // no renderer wraps lines
		}
		entries = append(entries, entry)
	}
	encoder := yaml.NewEncoder(out)
	if err := encoder.Encode(entries); err != nil {
		return fmt.Errorf("writing the entries: %w", err)
	}
	return encoder.Close()
}

// wrap breaks text into lines of at most width characters where its words allow.
func wrap(text string, width int) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return strings.Join(append(lines, line), "\n")
}
