//go:build e2e

// Package e2e installs the packages in booted Debian systems with PostgreSQL and lives an operator's
// day there. It is run by run.sh, which builds what it installs.
package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/packaging/e2e/box"
)

// suites are the Debian releases that a day is lived on: systemd 252 with PostgreSQL 15, and 257 with 17.
var suites = []string{"bookworm", "trixie"}

// cronPackages are those of pg_cron for the PostgreSQL of each suite.
var cronPackages = map[string]string{"bookworm": "postgresql-15-cron", "trixie": "postgresql-17-cron"}

// What run.sh hands over.
const (
	scratchVariable = "E2E_SCRATCH" // directory for the boxes
	oldVariable     = "E2E_OLD"     // directory with the packages to begin with
	newVariable     = "E2E_NEW"     // directory with the packages to upgrade to
	labVariable     = "E2E_LAB"     // the multica-lab binary
)

const (
	configFile = "/etc/multica/rollup.toml"
	stateDir   = "/var/lib/multica-rollup"
	service    = "multica-rollup.service"
	timer      = "multica-rollup.timer"
	backfill   = "multica-rollup-backfill.service"
	password   = "e2e-Pa55word" // of the role, for connections over TCP: it must show up nowhere
)

// host is the machine that a test's operator sits at.
type host struct{ *box.Box }

// boot makes a host of the suite with PostgreSQL and starts it; it is destroyed when the test ends.
func boot(t *testing.T, suite string) *host {
	t.Helper()
	return bootWith(t, suite, "man-db", "postgresql", cronPackages[suite], "rpm")
}

// bootWith is boot with these packages.
func bootWith(t *testing.T, suite string, packages ...string) *host {
	t.Helper()
	ctx := t.Context()
	b, err := box.New(ctx, box.Image{Suite: suite, Packages: packages}, need(t, scratchVariable))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Destroy(context.Background()); err != nil {
			t.Errorf("destroying the box: %v", err)
		}
	})
	if err := b.Boot(ctx); err != nil {
		t.Fatal(err)
	}
	h := &host{b}
	if err := h.Copy(need(t, labVariable), "/usr/local/bin/multica-lab", 0o755); err != nil {
		t.Fatal(err)
	}
	return h
}

func need(t *testing.T, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		t.Fatalf("%s is not set: run packaging/e2e/run.sh", variable)
	}
	return value
}

// find returns the one file below dir that matches the pattern.
func find(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("want one %s in %s, found %v (%v)", pattern, dir, found, err)
	}
	return found[0]
}

// bring copies the package that matches the pattern into the host and returns its path there.
func (h *host) bring(t *testing.T, variable, pattern string) string {
	t.Helper()
	source := find(t, need(t, variable), pattern)
	target := "/srv/" + variable + "/" + filepath.Base(source)
	if err := h.Copy(source, target, 0o644); err != nil {
		t.Fatal(err)
	}
	return target
}

// commandLimit is far above what any one command of a test takes.
const commandLimit = 3 * time.Minute

// try runs a shell script as root and returns what became of it.
func (h *host) try(t *testing.T, script string) box.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	result, err := h.Run(ctx, "bash", "-euc", script)
	if err != nil {
		t.Fatalf("%v\nstdout: %s\nstderr: %s", err, result.Stdout, result.Stderr)
	}
	return result
}

// must runs a shell script that has to succeed and returns its trimmed standard output.
func (h *host) must(t *testing.T, script string) string {
	t.Helper()
	result := h.try(t, script)
	if result.Exit != 0 {
		t.Fatalf("%s\nexit code %d\nstdout: %s\nstderr: %s", script, result.Exit, result.Stdout, result.Stderr)
	}
	return strings.TrimSpace(result.Stdout)
}

// want runs a shell script and compares its trimmed output, whatever its exit code.
func (h *host) want(t *testing.T, script, output string) {
	t.Helper()
	if got := strings.TrimSpace(h.try(t, script).Stdout); got != output {
		t.Errorf("%s\nprints %q, want %q", script, got, output)
	}
}

// guard bounds every wait. It only ends a test whose event never comes: no machine is so slow.
const guard = 5 * time.Minute

// until runs the script again and again until it succeeds.
func (h *host) until(t *testing.T, script string) {
	t.Helper()
	var last box.Result
	for end := time.Now().Add(guard); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if last = h.try(t, script); last.Exit == 0 {
			return
		}
	}
	t.Fatalf("%s\ndid not succeed in %s; last exit code %d\nstdout: %s\nstderr: %s\n%s",
		script, guard, last.Exit, last.Stdout, last.Stderr, h.try(t, "journalctl -q --no-pager -n 25").Stdout)
}

// entry is one entry of the journal: field → value.
type entry map[string]any

func (e entry) get(field string) string {
	if value, ok := e[field].(string); ok {
		return value
	}
	return ""
}

// journal returns what the unit, and systemd about it, wrote since the cursor ("" for all of it).
func (h *host) journal(t *testing.T, unit, cursor string) []entry {
	t.Helper()
	after := ""
	if cursor != "" {
		after = fmt.Sprintf(" --after-cursor=%q", cursor)
	}
	var entries []entry
	for line := range strings.Lines(h.must(t, "journalctl -q --no-pager -o json -u "+unit+after)) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("journal entry %q: %v", line, err)
		}
		entries = append(entries, e)
	}
	return entries
}

// cursor is the end of the journal as of now.
func (h *host) cursor(t *testing.T) string {
	t.Helper()
	return strings.TrimPrefix(h.must(t, "journalctl -q -n 0 --show-cursor | tail -n 1"), "-- cursor: ")
}

// having returns the entries with that MESSAGE_ID.
func having(entries []entry, id string) []entry {
	var found []entry
	for _, e := range entries {
		if e.get("MESSAGE_ID") == id {
			found = append(found, e)
		}
	}
	return found
}

// show writes entries for a failing test's reader.
func show(entries []entry) string {
	var text strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&text, "%s %s: %s\n", e.get("PRIORITY"), e.get("SYSLOG_IDENTIFIER"), e.get("MESSAGE"))
	}
	return text.String()
}

// property is one property of a unit.
func (h *host) property(t *testing.T, unit, name string) string {
	t.Helper()
	return h.must(t, "systemctl show --value -p "+name+" "+unit)
}

// configure puts a DSN and more keys at the top of the configuration, as an operator with an editor does.
func (h *host) configure(t *testing.T, lines ...string) {
	t.Helper()
	h.file(t, "/root/top.toml", strings.Join(lines, "\n")+"\n")
	h.must(t, fmt.Sprintf("grep -vE '^(dsn|engine) *=' %[1]s >/root/rest.toml; cat /root/top.toml /root/rest.toml >%[1]s", configFile))
}

// file makes a file that root alone can read.
func (h *host) file(t *testing.T, path, content string) {
	t.Helper()
	if err := h.Write(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// quote makes one word of the shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// steps lives a day: each step needs those before it, so the first that fails ends the day.
func steps(t *testing.T, h *host, day []step) {
	for _, s := range day {
		if !t.Run(s.name, func(t *testing.T) { s.live(t, h) }) {
			t.Fatalf("the day ends at %q; the journal's end:\n%s", s.name,
				h.try(t, "journalctl -q --no-pager -n 25").Stdout)
		}
	}
}

type step struct {
	name string // the behaviour that it proves
	live func(t *testing.T, h *host)
}
