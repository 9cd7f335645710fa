package config

import (
	"testing"

	"github.com/spf13/pflag"

	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// parsed returns the flags of a command line.
func parsed(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, f := range []struct{ name, key, example string }{
		{"budget", "run.budget", "4m"}, {"nice", "backfill.nice", "1"}, {"window", "backfill.window", "22:00-06:00"}, {"engine", "engine", "auto"},
	} {
		flags.String(f.name, "", "")
		BindFlag(flags, f.name, f.key, f.example)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags
}

func TestABadFlagIsOfTheCommandLineAndABadFileOfTheConfiguration(t *testing.T) {
	const bareNumber = `--budget "5" is a bare number: write the unit, as in "5s" or "5m"`
	for _, tt := range []struct {
		name string
		file string
		env  []string
		args []string
		kind problem.Kind
		text string
		hint string
	}{
		{"number out of range", goodDSN, nil, []string{"--nice=-1"}, problem.Usage,
			`--nice "-1" must be from 0 to 100`, "for instance --nice 1"},
		{"bare number", goodDSN, nil, []string{"--budget=5"}, problem.Usage, bareNumber, "for instance --budget 4m"},
		{"window", goodDSN, nil, []string{"--window=22-06"}, problem.Usage,
			`--window "22-06" must be two times of day, as in "22:00-06:00"`, "for instance --window 22:00-06:00"},
		{"several flags", goodDSN, nil, []string{"--budget=5", "--engine=sets"}, problem.Usage,
			bareNumber + "\n" + `--engine "sets" must be one of auto, set, function (did you mean "set"?)`, "for instance --budget 4m"},
		{"a secret", goodDSN, nil, []string{"--engine=postgres://u:s3cr3t@h"}, problem.Usage,
			`--engine (not shown) must be one of auto, set, function`, "for instance --engine auto"},
		// What is wrong beside the command line decides, and all is told.
		{"flag and file", "engine = 5\n" + goodDSN, nil, []string{"--budget=5"}, problem.Config,
			"FILE:1: engine = 5 must be a string in double quotes\n" + bareNumber, editHint},
		{"flag and variable", goodDSN, []string{"MULTICA_ROLLUP_ENGINE=fast"}, []string{"--budget=5"}, problem.Config,
			`MULTICA_ROLLUP_ENGINE: engine = "fast" must be one of auto, set, function` + "\n" + bareNumber, editHint},
		{"flag and no DSN", "", nil, []string{"--budget=5"}, problem.Config,
			bareNumber + "\nFILE: no DSN: nothing says which database", dsnHint("FILE")},
		{"the variable alone", goodDSN, []string{"MULTICA_ROLLUP_ENGINE=fast"}, nil, problem.Config,
			`MULTICA_ROLLUP_ENGINE: engine = "fast" must be one of auto, set, function`, editHint},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := loadFlags(t, tt.file, parsed(t, tt.args...), tt.env...)
			if err == nil {
				t.Fatal("it was accepted")
			}
			if err.Error() != tt.text {
				t.Errorf("got\n%s\nwant\n%s", err, tt.text)
			}
			if got := problem.HintOf(err); got != tt.hint {
				t.Errorf("hint %q, want %q", got, tt.hint)
			}
			if got := problem.KindOf(err); got != tt.kind {
				t.Errorf("exit code %d, want %d", got.ExitCode(), tt.kind.ExitCode())
			}
		})
	}
}

func TestAWindowMayEndWithTheDay(t *testing.T) {
	for given, want := range map[string]string{
		"22:00-24:00": "22:00-00:00", "00:00-24:00": "", "0:00-24:00": "", "22:00-06:00": "22:00-06:00", "00:00-06:00": "00:00-06:00",
	} {
		loaded, err := loadFlags(t, goodDSN, parsed(t, "--window="+given))
		if err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		if got := loaded.Backfill.Window; got != want {
			t.Errorf("%s means %q, want %q", given, got, want)
		}
	}
}
