package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/multica-rollup/multica-rollup/internal/problem"
)

const goodDSN = `dsn = "postgres://multica:s3cr3t@db:5432/multica"` + "\n"

// write makes a configuration file of its own and returns its path.
func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rollup.toml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loadText loads a file with that content; in messages it is called FILE.
func loadText(t *testing.T, content string, env ...string) (*Loaded, error) {
	t.Helper()
	return loadFlags(t, content, nil, env...)
}

// loadFlags is loadText with a command line.
func loadFlags(t *testing.T, content string, flags *pflag.FlagSet, env ...string) (*Loaded, error) {
	t.Helper()
	path := write(t, content)
	loaded, err := Load(Options{Path: path, Explicit: true, Env: env, Flags: flags})
	if err != nil {
		named := func(s string) string { return strings.ReplaceAll(s, path, "FILE") }
		return nil, problem.Wrap(err, problem.KindOf(err), named(problem.HintOf(err)), "%s", named(err.Error()))
	}
	return loaded, nil
}

func TestFaultsOfAFileAreToldWithKeyAndLine(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"unknown key", "engin = \"set\"\n" + goodDSN, `FILE:1: unknown key "engin" (did you mean "engine"?)`},
		{"unknown key in a section", goodDSN + "[walk]\n\nslice_taget = \"2s\"", `FILE:4: unknown key "walk.slice_taget" (did you mean "walk.slice_target"?)`},
		{"unknown section", goodDSN + "[wlak]\nslice_target = \"2s\"", `FILE:3: unknown key "wlak.slice_target" (did you mean "slice_target" in section [walk]?)`},
		{"unknown empty section", goodDSN + "[wlak]\n", `FILE:2: unknown key "wlak"`},
		{"key without its section", goodDSN + "budget = \"4m\"", `FILE:2: unknown key "budget" (did you mean "budget" in section [run]?)`},
		{"key in a section that belongs before it", "[metrics]\n" + goodDSN, `FILE:2: unknown key "metrics.dsn" (did you mean "dsn", before the first section?)`},
		{"nothing near", goodDSN + "frobnicate = 1", `FILE:2: unknown key "frobnicate"`},
		{"a section as a value", goodDSN + "walk = 5", `FILE:2: "walk" is a section: write [walk] and its keys below`},
		{"an array of sections", goodDSN + "[[walk]]\nslice_target = \"2s\"", `FILE:2: "walk" is a section: write [walk] and its keys below`},
		{"inline table", goodDSN + "run = { budget = 4 }", `FILE:2: run.budget = 4 is a bare number: write the unit, as in "4s" or "4m"`},
		{"dotted key", goodDSN + "run.budget = \"soon\"", `FILE:2: run.budget = "soon" must be a duration such as "500ms", "30s", "5m" or "1h30m"`},
		{"bare number", goodDSN + "[walk]\nstatement_timeout = 5", `FILE:3: walk.statement_timeout = 5 is a bare number: write the unit, as in "5s" or "5m"`},
		{"bare fraction", goodDSN + "[walk]\nslice_target = 1.5", `FILE:3: walk.slice_target = 1.5 is a bare number: write the unit, as in "1.5s"`},
		{"bare number in quotes", goodDSN + "[walk]\nslice_target = \"5\"", `FILE:3: walk.slice_target = "5" is a bare number: write the unit, as in "5s" or "5m"`},
		{"negative duration", goodDSN + "[run]\nbudget = \"-1m\"", `FILE:3: run.budget = "-1m" must be from 1s to 24h`},
		{"absurd duration", goodDSN + "[run]\nbudget = \"99999h\"", `FILE:3: run.budget = "99999h" must be from 1s to 24h`},
		{"overflowing duration", goodDSN + "[run]\nbudget = \"99999999999999h\"", `FILE:3: run.budget = "99999999999999h" must be a duration such as "500ms", "30s", "5m" or "1h30m"`},
		{"no lock timeout at all", goodDSN + "[walk]\nlock_timeout = \"0s\"", `FILE:3: walk.lock_timeout = "0s" must be from 1ms to 1m`},
		{"duration as a boolean", goodDSN + "[run]\nbudget = true", `FILE:3: run.budget = true must be a duration with its unit in double quotes, as in "5m"`},
		{"number as text", goodDSN + "[backfill]\nmax_active = \"5\"", `FILE:3: backfill.max_active = "5" must be a whole number`},
		{"fraction for a whole number", goodDSN + "[backfill]\nmax_active = 1.5", `FILE:3: backfill.max_active = 1.5 must be a whole number`},
		{"negative number", goodDSN + "[backfill]\nmax_active = -1", `FILE:3: backfill.max_active = -1 must be from 0 to 10000`},
		{"not a number", goodDSN + "[backfill]\nnice = nan", `FILE:3: backfill.nice = NaN must be from 0 to 100`},
		{"infinite", goodDSN + "[backfill]\nnice = inf", `FILE:3: backfill.nice = +Inf must be from 0 to 100`},
		{"unknown engine", "engine = \"sets\"\n" + goodDSN, `FILE:1: engine = "sets" must be one of auto, set, function (did you mean "set"?)`},
		{"unknown level", "log_level = \"loud\"\n" + goodDSN, `FILE:1: log_level = "loud" must be one of debug, info, warn, error`},
		{"text as a number", "engine = 5\n" + goodDSN, `FILE:1: engine = 5 must be a string in double quotes`},
		{"relative path", "state_dir = \"state\"\n" + goodDSN, `FILE:1: state_dir = "state" must be an absolute path, since the service runs in /`},
		{"textfile nobody reads", goodDSN + "[metrics]\ntextfile = \"/tmp/x.txt\"", `FILE:3: metrics.textfile = "/tmp/x.txt" must end in .prom: node_exporter reads no other file`},
		{"window of one time", goodDSN + "[backfill]\nwindow = \"22:00\"", `FILE:3: backfill.window = "22:00" must be two times of day, as in "22:00-06:00"`},
		{"window of no length", goodDSN + "[backfill]\nwindow = \"22:00-22:00\"", `FILE:3: backfill.window = "22:00-22:00" has no length: "00:00-24:00" is the whole day`},
		{"window of no length in two spellings", goodDSN + "[backfill]\nwindow = \"9:00-09:00\"", `FILE:3: backfill.window = "9:00-09:00" has no length: "00:00-24:00" is the whole day`},
		{"window from the end of a day", goodDSN + "[backfill]\nwindow = \"24:00-06:00\"", `FILE:3: backfill.window = "24:00-06:00" must write midnight as 00:00 where it begins`},
		{"window past the end of a day", goodDSN + "[backfill]\nwindow = \"22:00-24:01\"", `FILE:3: backfill.window = "22:00-24:01" must be two times of day, as in "22:00-06:00"`},
		{"timeout below the target", goodDSN + "[walk]\nslice_target = \"90s\"", `FILE:3: walk.statement_timeout (1m) must be longer than walk.slice_target (1m30s)`},
		{"empty DSN", `dsn = ""`, `FILE:1: the DSN is empty`},
		{"blank DSN", `dsn = "  "`, `FILE:1: the DSN is empty`},
		{"DSN as a number", `dsn = 5`, `FILE:1: dsn must be a string in double quotes`},
		{"DSN that is none", `dsn = "s3cr3t"`, `FILE:1: the DSN is neither a well-formed postgres:// URL nor keyword=value pairs`},
		{"DSN with a raw @ in the password", `dsn = "postgres://u:s3@cr3t@db/d"`, `FILE:1: the DSN is no well-formed URL: there is a character after the user that has to be escaped there`},
		{"DSN as a key", goodDSN + "\"postgres://u:s3cr3t@db/d\" = 1", `FILE:2: unknown key (not shown)`},
		{"two sources", goodDSN + `dsn_file = "/etc/multica/dsn"`, `FILE:2: dsn and dsn_file are both set: leave one of them`},
		{"relative dsn_file", `dsn_file = "secret"`, "FILE:1: dsn_file = \"secret\" must be an absolute path or credential:NAME"},
		{"empty dsn_file", `dsn_file = ""`, `FILE: no DSN: nothing says which database`},
		{"credential outside of the service", `dsn_file = "credential:dsn"`, `FILE:1: credential:dsn exists only where systemd passes it: no LoadCredential=dsn:FILE`},
		{"credential without a name", `dsn_file = "credential:"`, `FILE:1: dsn_file = "credential:" names no systemd credential: write credential:NAME`},
		{"credential outside of its directory", `dsn_file = "credential:../x"`, `FILE:1: dsn_file = "credential:../x" names no systemd credential: write credential:NAME`},
		{"missing dsn_file", `dsn_file = "/nonexistent/dsn"`, `reading the file with the DSN: /nonexistent/dsn: no such file or directory`},
		{"directory as dsn_file", `dsn_file = "/"`, `reading the file with the DSN: /: it is a directory, not a file`},
		{"no DSN", "", `FILE: no DSN: nothing says which database`},
		{"invalid TOML", goodDSN + "engine = \"set", `FILE:2:13: invalid TOML: `},
		{"TOML that says a key twice", goodDSN + goodDSN, `FILE:2:1: invalid TOML: `},
		{"a fault and no DSN", "engine = 5", "FILE:1: engine = 5 must be a string in double quotes\nFILE: no DSN: nothing says which database"},
		{"a fault and an empty DSN", "engine = 5\ndsn = \"\"", "FILE:1: engine = 5 must be a string in double quotes\nFILE:2: the DSN is empty"},
		{"several faults at once", "engin = 1\nlog_level = \"loud\"\n" + goodDSN + "[run]\nbudget = 5\n",
			`FILE:1: unknown key "engin" (did you mean "engine"?)` + "\n" +
				`FILE:2: log_level = "loud" must be one of debug, info, warn, error` + "\n" +
				`FILE:5: run.budget = 5 is a bare number: write the unit, as in "5s" or "5m"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := loadText(t, tt.file)
			if err == nil {
				t.Fatal("the file was accepted")
			}
			if strings.HasSuffix(tt.want, "invalid TOML: ") { // the rest is the parser's
				if !strings.HasPrefix(err.Error(), tt.want) {
					t.Errorf("got  %s\nwant %s…", err, tt.want)
				}
			} else if err.Error() != tt.want {
				t.Errorf("got\n%s\nwant\n%s", err, tt.want)
			}
			if kind := problem.KindOf(err); kind != problem.Config {
				t.Errorf("kind %v, want that of a configuration", kind)
			}
			if problem.HintOf(err) == "" {
				t.Error("there is no hint")
			}
			if strings.Contains(err.Error()+problem.HintOf(err), "cr3t") {
				t.Error("the password is told")
			}
		})
	}
}

func TestFaultsOfVariablesAreToldByTheirNames(t *testing.T) {
	_, err := loadText(t, goodDSN,
		"MULTICA_ROLLUP_WALK_SLICETARGET=2s", "MULTICA_ROLLUP_RUN_BUDGET=5", "MULTICA_ROLLUP_BACKFILL_NICE=much",
		"MULTICA_ROLLUP_BACKFILL_MAX_ACTIVE=1e3", "MULTICA_OTHER=1")
	want := `MULTICA_ROLLUP_BACKFILL_MAX_ACTIVE: backfill.max_active = "1e3" must be a whole number
MULTICA_ROLLUP_BACKFILL_NICE: backfill.nice = "much" must be a number
MULTICA_ROLLUP_RUN_BUDGET: run.budget = "5" is a bare number: write the unit, as in "5s" or "5m"
MULTICA_ROLLUP_WALK_SLICETARGET: unknown variable (did you mean "MULTICA_ROLLUP_WALK_SLICE_TARGET"?)`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestLayersOverrideEachOtherAndTellWhereAValueIsFrom(t *testing.T) {
	path := write(t, goodDSN+`engine = "function"
log_level = "debug"
[walk]
slice_target = "3s"
lock_timeout = "2s"
[backfill]
nice = 1
`)
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.String("engine", "", "")
	flags.Duration("sleep-between-slices", 0, "")
	flags.String("log-level", "", "")
	BindFlag(flags, "engine", "engine", "auto")
	BindFlag(flags, "log-level", "log_level", "info")
	BindFlag(flags, "sleep-between-slices", "backfill.sleep_between_slices", "2s")
	if err := flags.Parse([]string{"--engine=set", "--sleep-between-slices=2s"}); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(Options{Path: path, Explicit: true, Flags: flags, Env: []string{
		"MULTICA_ROLLUP_ENGINE=auto", "MULTICA_ROLLUP_WALK_SLICE_TARGET=4s", "MULTICA_ROLLUP_BACKFILL_MAX_ACTIVE=7",
		"MULTICA_ROLLUP_BACKFILL_NICE=0.5", "DATABASE_URL=postgres://other/db", "PGHOST=other",
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.DSN = "postgres://multica:s3cr3t@db:5432/multica"
	want.Engine, want.LogLevel = "set", "debug"
	want.Walk.SliceTarget, want.Walk.LockTimeout = 4*time.Second, 2*time.Second
	want.Backfill.Nice, want.Backfill.MaxActive, want.Backfill.SleepBetweenSlices = 0.5, 7, 2*time.Second
	if diff := cmp.Diff(want, loaded.Config); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	for key, origin := range map[string]string{
		"dsn":                           path + ":1",
		"engine":                        "--engine",
		"log_level":                     path + ":3",
		"walk.slice_target":             "MULTICA_ROLLUP_WALK_SLICE_TARGET",
		"walk.lock_timeout":             path + ":6",
		"walk.horizon_hold":             "default",
		"backfill.nice":                 "MULTICA_ROLLUP_BACKFILL_NICE",
		"backfill.sleep_between_slices": "--sleep-between-slices",
	} {
		if loaded.Origin[key] != origin {
			t.Errorf("origin of %s is %q, want %q", key, loaded.Origin[key], origin)
		}
	}
}

func TestWhatTheUnitsPassForAMissingFileIsAMissingFile(t *testing.T) {
	credentials := t.TempDir()
	path := filepath.Join(credentials, "rollup.toml")
	if err := os.WriteFile(path, []byte(NoFile), 0o400); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Options{CredentialsDir: credentials})
	if want := fmt.Sprintf("no DSN: there is no %s, and nothing else says which database", path); err == nil || err.Error() != want {
		t.Errorf("Load() = %v, want %q", err, want)
	}
	loaded, err := Load(Options{CredentialsDir: credentials, Env: []string{"MULTICA_ROLLUP_DSN=host=db dbname=multica"}})
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Path != "" || loaded.DSN != "host=db dbname=multica" {
		t.Errorf("path %q, DSN %q", loaded.Path, loaded.DSN)
	}
}

func TestMissingDefaultFileIsFineWhereADSNComesFromElsewhere(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "rollup.toml")
	_, err := Load(Options{Path: missing})
	if want := fmt.Sprintf("no DSN: there is no %s, and nothing else says which database", missing); err == nil || err.Error() != want {
		t.Errorf("Load() = %v, want %q", err, want)
	}
	loaded, err := Load(Options{Path: missing, Env: []string{"MULTICA_ROLLUP_DSN=host=db dbname=multica"}})
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Path != "" || loaded.DSN != "host=db dbname=multica" {
		t.Errorf("path %q, DSN %q", loaded.Path, loaded.DSN)
	}
	_, err = Load(Options{Path: missing, Explicit: true, Env: []string{"MULTICA_ROLLUP_DSN=host=db"}})
	if want := fmt.Sprintf("reading the configuration: %s: no such file or directory", missing); err == nil || err.Error() != want {
		t.Errorf("Load() = %v, want %q", err, want)
	}
}

func TestDirectoryAndDeviceAsAFile(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(Options{Path: dir, Explicit: true})
	if want := fmt.Sprintf("reading the configuration: %s: it is a directory, not a file", dir); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Load() = %v, want %q", err, want)
	}
	_, err = Load(Options{Path: "/dev/zero", Explicit: true})
	if want := "reading the configuration: /dev/zero: it is a device, not a file"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Load() = %v, want %q", err, want)
	}
	if _, err := Load(Options{Path: "/dev/null", Explicit: true, Env: []string{"PGHOST=db"}}); err != nil {
		t.Errorf("the empty device stands for no file: %v", err)
	}
}

func TestPasswordInAFileThatOthersCanReadIsAWarning(t *testing.T) {
	for _, tt := range []struct {
		mode os.FileMode
		text string
		want bool
	}{
		{0o600, goodDSN, false},
		{0o400, goodDSN, false},
		{0o640, goodDSN, true},
		{0o644, goodDSN, true},
		{0o604, goodDSN, true},
		{0o644, `dsn = "host=/tmp dbname=multica"`, false},
	} {
		path := write(t, tt.text)
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		loaded, err := Load(Options{Path: path, Explicit: true})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		if tt.want {
			want = []string{fmt.Sprintf("%s holds a password and can be read by others (mode %04o): chmod 0600 %[1]s", path, tt.mode)}
		}
		if diff := cmp.Diff(want, loaded.Warnings); diff != "" {
			t.Errorf("mode %04o, %s: warnings (-want +got):\n%s", tt.mode, tt.text, diff)
		}
	}
}

func TestAByteOrderMarkAndWindowsLineEndsAreNoFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rollup.toml")
	text := "\ufeffdsn = \"host=/var/run/postgresql dbname=multica user=multica-rollup\"\r\n\r\n[walk]\r\nslice_target = \"1s\"\r\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Load(Options{Path: path, Explicit: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := "host=/var/run/postgresql dbname=multica user=multica-rollup"; l.Config.DSN != want || l.Config.Walk.SliceTarget != time.Second {
		t.Errorf("dsn %q, slice_target %s", l.Config.DSN, l.Config.Walk.SliceTarget)
	}
}

func TestANamedPipeInPlaceOfAFileIsAnErrorAtOnce(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rollup.toml")
	if err := os.WriteFile(file, []byte("dsn_file = \""+pipe+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, file} { // nobody ever writes to it
		if _, err := Load(Options{Path: path, Explicit: true}); err == nil || !strings.Contains(err.Error(), "it is a named pipe, not a file") {
			t.Errorf("%s: error %v", path, err)
		}
	}
}
