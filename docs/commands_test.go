package docs_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/cli"
)

// program is what documented command lines begin with.
const program = "multica-rollup"

// commands are those that there have to be.
var commands = []string{
	"run", "backfill", "status", "doctor", "verify", "usage", "guard", "pgcron install", "pgcron status", "pgcron remove",
	"config check", "config show", "version", "completion",
}

// run runs one command line in this process and returns what it prints.
func run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = cli.Run(t.Context(), args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), err
}

// help returns the help on a command such as "pgcron install", "" where there is none.
func help(t *testing.T, command string) string {
	t.Helper()
	out, _, err := run(t, append(strings.Fields(command), "--help")...)
	if err != nil || !strings.Contains(out, "\n  "+strings.TrimSpace(program+" "+command)+" ") {
		return ""
	}
	return out
}

func TestEveryCommandOfTheDesignExists(t *testing.T) {
	for _, command := range commands {
		if help(t, command) == "" {
			t.Errorf("there is no command %q", command)
		}
	}
}

// check tells what is wrong with a documented command line, "" if nothing is.
func check(t *testing.T, line string) string {
	t.Helper()
	var path, flags []string
	for _, word := range strings.Fields(line)[1:] {
		switch {
		case strings.HasPrefix(word, "-"):
			name, _, _ := strings.Cut(word, "=")
			flags = append(flags, name)
		case len(flags) == 0 && help(t, strings.Join(append(slices.Clone(path), word), " ")) != "":
			path = append(path, word)
		case len(path) == 0 && len(flags) == 0:
			return "there is no such command"
		case len(flags) > 0 && len(path) == 0: // the value of a global flag, or the command after it
			if help(t, word) != "" {
				path = append(path, word)
			}
		case len(flags) == 0 && !takesArguments(help(t, strings.Join(path, " "))):
			return "the command takes no argument " + word
		}
	}
	text := help(t, strings.Join(path, " "))
	for _, flag := range flags {
		if !regexp.MustCompile(`(?m)^ +(-\w, )?`+flag+`( |$)`).MatchString(text) && !regexp.MustCompile(`(?m)^ +`+flag+`,`).MatchString(text) {
			return "the command has no flag " + flag
		}
	}
	return ""
}

func TestASlipInACommandLineIsFound(t *testing.T) {
	for line, right := range map[string]bool{
		"multica-rollup run": true, "multica-rollup run --every 5m": true, "multica-rollup --config a.toml config check": true,
		"multica-rollup completion bash": true, "multica-rollup guard --fix": true,
		"multica-rollup walk": false, "multica-rollup run --evry 5m": false, "multica-rollup config chek": false,
		"multica-rollup run now": false, "multica-rollup --fix guard": true, "multica-rollup status --fix": false,
	} {
		if wrong := check(t, line); (wrong == "") != right {
			t.Errorf("%s: found %q", line, wrong)
		}
	}
}

// takesArguments tells whether a command's usage line names arguments.
func takesArguments(text string) bool {
	_, usage, _ := strings.Cut(text, "Usage:\n")
	usage, _, _ = strings.Cut(usage, "\n")
	return regexp.MustCompile(` [A-Z{<]|\[command\]`).MatchString(usage) || strings.Contains(usage, "|")
}

var separators = regexp.MustCompile(`\s*(?:&&|\|\||[|;<>])\s*`)

// insideCompose is what stands before a command in a container.
var insideCompose = regexp.MustCompile(`^docker compose(?: -f \S+)* run --rm `)

// ours returns the command lines of this program within a line of shell.
func ours(line string) []string {
	var found []string
	for _, part := range separators.Split(strings.TrimPrefix(line, "$ "), -1) {
		words := strings.Fields(comment.ReplaceAllString(part, ""))
		for len(words) > 0 && (words[0] == "sudo" || regexp.MustCompile(`^[A-Z_]+=`).MatchString(words[0])) {
			words = words[1:]
		}
		if rest := insideCompose.ReplaceAllString(strings.Join(words, " "), ""); rest != "" {
			words = strings.Fields(rest)
		}
		if len(words) > 1 && words[0] == program {
			found = append(found, strings.Join(words, " "))
		}
	}
	return found
}

func TestDocumentedCommandLinesAreThoseOfTheProgram(t *testing.T) {
	seen := 0
	for _, path := range pages(t) {
		p := readPage(t, path)
		var lines []string
		for _, section := range p.spans {
			lines = append(lines, section...)
		}
		for _, f := range p.fences {
			if f.language == "console" {
				lines = append(lines, f.lines...)
			}
		}
		for _, line := range lines {
			for _, command := range ours(line) {
				seen++
				if wrong := check(t, command); wrong != "" {
					t.Errorf("%s: %s: %s", path, command, wrong)
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d command lines were found", seen)
	}
}

// mention is a command line within other text: units, catalogs, comments. Its
// first word has to be a command's, since text speaks of the program as well.
var mention = regexp.MustCompile(`(?m)(?:^|[\s“"(=])(?:/usr/bin/)?multica-rollup ((?:run|backfill|status|doctor|verify|usage|guard|pgcron|config|version|completion)\b(?: (?:--[a-z-]+(?:[ =][0-9][0-9a-z]*)?|install|remove|status|check|show))*)`)

func TestCommandLinesInUnitsCatalogsAndExamplesAreThoseOfTheProgram(t *testing.T) {
	seen := 0
	for _, dir := range []string{"configs", "systemd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, ".go") {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range mention.FindAllStringSubmatch(string(data), -1) {
				seen++
				if wrong := check(t, program+" "+m[1]); wrong != "" {
					t.Errorf("%s: %s %s: %s", path, program, m[1], wrong)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 15 {
		t.Errorf("only %d command lines were found", seen)
	}
}

func TestDocumentedConfigurationIsAccepted(t *testing.T) {
	seen := 0
	for _, path := range pages(t) {
		for _, f := range readPage(t, path).fences {
			if f.language != "toml" {
				continue
			}
			// Alternatives stand below each other: each is tried by itself.
			var dsns, rest []string
			for _, line := range f.lines {
				if strings.HasPrefix(line, "dsn = ") {
					dsns = append(dsns, line)
				} else {
					rest = append(rest, line)
				}
			}
			if len(dsns) == 0 {
				dsns = []string{`dsn = "host=/var/run/postgresql dbname=multica"`}
			}
			for _, dsn := range dsns {
				seen++
				file := filepath.Join(t.TempDir(), "rollup.toml")
				if err := os.WriteFile(file, []byte(dsn+"\n"+strings.Join(rest, "\n")+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, stderr, err := run(t, "--as-root", "--config", file, "config", "check"); err != nil || stderr != "" {
					t.Errorf("%s: %s\n%s: %v %s", path, dsn, strings.Join(rest, "\n"), err, stderr)
				}
			}
		}
	}
	if seen < 8 {
		t.Errorf("only %d configurations were found", seen)
	}
}
