package cli

import (
	"path/filepath"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

func TestAnInstanceIsNamedByItsFile(t *testing.T) {
	for path, want := range map[string]struct {
		name  string
		units bool
	}{
		"/etc/multica/rollup.toml":          {"", true},
		"/etc/multica/rollup.d/eu.toml":     {"eu", true},
		"/etc/multica/rollup.d/a-b.c.toml":  {"a-b.c", true},
		"/srv/rollup.d/eu.toml":             {"eu", false},
		"/etc/multica/rollup.d/eu.toml.bak": {"", false},
		"rollup.d/eu.toml":                  {"eu", false},
		"/home/x/rollup.toml":               {"", false},
		"":                                  {"", false},
	} {
		names, ok := unitNames(path)
		if got := instanceName(path); got != want.name || ok != want.units || names != units.For(want.name) {
			t.Errorf("%q is instance %q, units %+v (%t); want %+v", path, got, names, ok, want)
		}
	}
}

func TestAnInstanceKeepsItsStateBelowTheHosts(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/nowhere/state")
	for _, c := range []struct{ path, configured, service, want string }{
		{"/etc/multica/rollup.d/eu.toml", "", "", "eu"},
		{"/etc/multica/rollup.d/eu.toml", "/srv/state", "", "/srv/state"},
		{"/etc/multica/rollup.d/eu.toml", "", "/var/lib/multica-rollup/eu", ""},
		{"/etc/multica/rollup.toml", "", "", ""},
	} {
		t.Setenv("STATE_DIRECTORY", c.service)
		got := instanceStateDir(&config.Loaded{Path: c.path, Config: config.Config{StateDir: c.configured}})
		if c.want == "eu" && filepath.IsAbs(got) && filepath.Base(got) == "eu" && filepath.Base(filepath.Dir(got)) == "multica-rollup" {
			continue
		}
		if got != c.want {
			t.Errorf("%+v: state is in %q", c, got)
		}
	}
}
