// Package man_test holds the manual pages to the commands, flags and keys that exist.
package man_test

import (
	"bytes"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multica-rollup/multica-rollup/internal/cli"
	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/dsn"
)

// page returns a manual page as its reader sees it: dashes for escaped ones.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), `\-`, "-")
}

// part returns the text between a heading and the next one of its kind, or of the kind above.
func part(t *testing.T, text, heading string) string {
	t.Helper()
	_, after, found := strings.Cut(text, "\n"+heading+"\n")
	if !found {
		t.Fatalf("there is no %q", heading)
	}
	end := regexp.MustCompile(`(?m)^\.SH `)
	if strings.HasPrefix(heading, ".SS") {
		end = regexp.MustCompile(`(?m)^\.S[HS] `)
	}
	if at := end.FindStringIndex(after); at != nil {
		after = after[:at[0]]
	}
	return after
}

func help(t *testing.T, command string) string {
	t.Helper()
	var out, diagnostics bytes.Buffer
	args := append(strings.Fields(command), "--help")
	if err := cli.Run(t.Context(), args, strings.NewReader(""), &out, &diagnostics); err != nil {
		t.Fatalf("%s --help: %v\n%s", command, err, diagnostics.String())
	}
	return out.String()
}

var (
	commandLine  = regexp.MustCompile(`(?m)^  ([a-z]+) {2,}\S`)
	flagLine     = regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z-]+)`)
	manFlag      = regexp.MustCompile(`(?m)^\.TP\n\.BI? (--[a-z-]+)`)
	manHeading   = regexp.MustCompile(`(?m)^\.SS (.+)$`)
	manKey       = regexp.MustCompile(`(?m)^\.TP\n\.I ([a-z_]+)$`)
	globalHeader = "Global Flags:"
)

// commands returns the commands that do something, such as "run" and "config check".
func commands(t *testing.T, parent string) []string {
	t.Helper()
	text, _, _ := strings.Cut(help(t, parent), "\nFlags:")
	if !strings.Contains(text, " [command]\n") {
		return nil
	}
	var names []string
	for _, match := range commandLine.FindAllStringSubmatch(text, -1) {
		name := strings.TrimSpace(parent + " " + match[1])
		if below := commands(t, name); len(below) > 0 {
			names = append(names, below...)
		} else {
			names = append(names, name)
		}
	}
	return names
}

// flags returns the flags in a command's help, but --help.
func flags(text string) []string {
	return matches(flagLine, text, "--help")
}

// matches returns the first group of each match, sorted, each once, without one of them.
func matches(pattern *regexp.Regexp, text, without string) []string {
	found := map[string]bool{}
	for _, match := range pattern.FindAllStringSubmatch(text, -1) {
		found[match[1]] = true
	}
	delete(found, without)
	return slices.Sorted(maps.Keys(found))
}

func TestManualListsTheCommandsAndTheirFlags(t *testing.T) {
	manual := page(t, "multica-rollup.1")
	listed := part(t, manual, ".SH COMMANDS")
	want := commands(t, "")
	slices.Sort(want)
	if diff := cmp.Diff(want, matches(manHeading, listed, "")); diff != "" {
		t.Fatalf("commands (-program +manual):\n%s", diff)
	}
	for _, command := range want {
		text := help(t, command)
		own, _, _ := strings.Cut(text, globalHeader)
		_, own, _ = strings.Cut(own, "\nFlags:")
		if diff := cmp.Diff(flags(own), matches(manFlag, part(t, manual, ".SS "+command), "")); diff != "" {
			t.Errorf("flags of %s (-program +manual):\n%s", command, diff)
		}
	}
	_, global, _ := strings.Cut(help(t, "version"), globalHeader)
	if diff := cmp.Diff(flags(global), matches(manFlag, part(t, manual, ".SH OPTIONS"), "--help")); diff != "" {
		t.Errorf("global flags (-program +manual):\n%s", diff)
	}
}

func TestManualListsTheKeysOfTheConfiguration(t *testing.T) {
	manual := part(t, page(t, "multica-rollup.toml.5"), ".SH KEYS")
	top, _, _ := strings.Cut(manual, "\n.SS ")
	documented := map[string][]string{"": matches(manKey, top, "")}
	for _, match := range manHeading.FindAllStringSubmatch(manual, -1) {
		section := strings.Trim(match[1], "[]")
		documented[section] = matches(manKey, part(t, manual, ".SS "+match[1]), "")
	}

	existing := map[string][]string{}
	for field := range reflect.TypeFor[config.Config]().Fields() {
		key := field.Tag.Get("koanf")
		if field.Type.Kind() != reflect.Struct {
			existing[""] = append(existing[""], key)
			continue
		}
		for member := range field.Type.Fields() {
			existing[key] = append(existing[key], member.Tag.Get("koanf"))
		}
	}
	for section := range existing {
		slices.Sort(existing[section])
	}
	if diff := cmp.Diff(existing, documented); diff != "" {
		t.Errorf("keys (-program +manual):\n%s", diff)
	}
}

// reference finds unit and file names in the manual of the service.
var reference = regexp.MustCompile(`multica-rollup(?:-[a-z]+)*@?\.(?:service|timer)`)

func TestManualOfTheServiceNamesUnitsThatAreShipped(t *testing.T) {
	for _, unit := range reference.FindAllString(page(t, "multica-rollup-backfill.service.8"), -1) {
		if _, err := os.Stat("../../systemd/" + unit); err != nil {
			t.Errorf("%s: %v", unit, err)
		}
	}
}

func TestTheManualListsEveryKeywordOfADSNByWhatBecomesOfIt(t *testing.T) {
	text := page(t, "multica-rollup.toml.5")
	parts := map[string]string{"used": part(t, text, ".SS Used"), "no effect": part(t, text, ".SS Without effect"), "refused": part(t, text, ".SS Refused")}
	listed := 0
	for _, p := range parts {
		listed += strings.Count(p, ".BR ")
	}
	for _, k := range dsn.Keywords() {
		if !strings.Contains(parts[k.Handling.String()], ".BR "+k.Name+" ") {
			t.Errorf("%s is not listed under %q", k.Name, k.Handling)
		}
	}
	if n := len(dsn.Keywords()); listed != n {
		t.Errorf("%d keywords are listed, there are %d", listed, n)
	}
}
