package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// examplePath is the file that the packages install.
const examplePath = "../../configs/rollup.toml"

func TestPackagedFileNamesEveryKeyOnceWithItsDefault(t *testing.T) {
	content, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	uncommented := regexp.MustCompile(`(?m)^#([a-z_]+ = )`).ReplaceAll(content, []byte("$1"))
	// A key that stands there twice is a syntax error.
	settings, err := fileSettings(uncommented, "rollup.toml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	l := loader{}
	values := l.check(settings, map[string]string{})
	if err := l.faults.err(); err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		got = append(got, s.name)
		if want := valueOf(Defaults(), s.name); s.name != "dsn" && values[s.name] != want {
			t.Errorf("%s: the file says %v, the default is %v", s.name, values[s.name], want)
		}
	}
	if want := keyNames(); !slices.Equal(got, want) {
		t.Errorf("keys of the file differ from those of Config (-want +got):\n%s", cmp.Diff(want, got))
	}
}

func TestPackagedFileAsItIsLacksNothingButADSN(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rollup.toml")
	content, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(Options{Path: path, Explicit: true})
	if want := path + ": no DSN: nothing says which database"; err == nil || err.Error() != want {
		t.Errorf("Load() = %v, want %q", err, want)
	}
	loaded, err := Load(Options{Path: path, Explicit: true, Env: []string{"MULTICA_ROLLUP_DSN=host=/tmp dbname=d"}})
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.DSN = "host=/tmp dbname=d"
	if diff := cmp.Diff(want, loaded.Config); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}
