package lab

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab/lacks"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

func TestTheEnvironmentChoosesTheVersion(t *testing.T) {
	t.Setenv("MULTICA_LAB_PGBIN", "")
	bin, err := findBinaries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	version, err := binaryVersion(t.Context(), bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(VersionVariable, strconv.Itoa(version))
	if again, err := findBinaries(t.Context()); err != nil || again != bin {
		t.Errorf("version %d is found in %q (%v), want %q", version, again, err, bin)
	}
	for _, wrong := range []string{"14", "19", "17.1", "newest"} {
		t.Setenv(VersionVariable, wrong)
		if _, err := findBinaries(t.Context()); err == nil || !strings.Contains(err.Error(), "is no version that the lab can run") || problem.HintOf(err) == "" {
			t.Errorf("version %q gives %v", wrong, err)
		}
	}
}

// A build that is not from npm is complete: there a missing part fails the test that needs it.
func TestOnlyBuildsFromNpmMayLackAPart(t *testing.T) {
	dir := t.TempDir()
	for name, script := range map[string]string{"initdb": "", "postgres": "echo 'postgres (PostgreSQL) 18.4'"} {
		if err := os.WriteFile(dir+"/"+name, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("MULTICA_LAB_PGBIN", dir)
	if _, known, err := Lacks(t.Context(), lacks.PgCron); known || err != nil {
		t.Errorf("a packaged PostgreSQL may lack pg_cron: %v, %v", known, err)
	}
}

func TestTheLabLooksWhereTheBuildsFromNpmAreInstalled(t *testing.T) {
	script, err := os.ReadFile("../../packaging/dev/deps.sh")
	if err != nil {
		t.Fatal(err)
	}
	if want := "readonly BARE_ROOT=" + bareRoot + "\n"; !strings.Contains(string(script), want) {
		t.Errorf("deps.sh has no line %q", want)
	}
}
