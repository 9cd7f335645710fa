package catalog_test

import (
	"slices"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/pgcron/catalog"
)

func TestWherePgCronWorks(t *testing.T) {
	const ours, other = "multica", "postgres"
	for _, c := range []struct {
		name       string
		server     catalog.Server
		works      string
		launched   string
		runs       []string // of ours and other, the databases whose jobs it runs
		candidates []string
	}{
		{"the launcher is seen", catalog.Server{Preload: catalog.Loaded, Setting: ours, Launcher: other}, other, other, []string{other}, []string{other}},
		{"it is seen though the rest is hidden", catalog.Server{Preload: catalog.Loaded, Launcher: ours, LauncherHidden: true}, ours, ours, []string{ours}, []string{ours}},
		{"loaded, and about to start", catalog.Server{Preload: catalog.Loaded, Setting: ours}, ours, "", nil, []string{ours}},
		{"a launcher may be hidden, the setting is not", catalog.Server{Preload: catalog.Loaded, Setting: other, LauncherHidden: true}, other, other, []string{other}, []string{other}},
		{"all is hidden", catalog.Server{Preload: catalog.Hidden, LauncherHidden: true}, "", "", []string{ours, other}, []string{ours, other}},
		{"the settings are hidden, and no launcher runs", catalog.Server{Preload: catalog.Hidden}, "", "", nil, []string{ours, other}},
		{"not loaded", catalog.Server{Preload: catalog.NotLoaded, LauncherHidden: true}, "", "", nil, nil},
		{"not loaded, with a setting that stayed", catalog.Server{Preload: catalog.NotLoaded, Setting: ours}, "", "", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.server.Database = ours
			var runs []string
			for _, database := range []string{ours, other} {
				if c.server.Runs(database) {
					runs = append(runs, database)
				}
			}
			if got := c.server; got.Works() != c.works || got.Launched() != c.launched || !slices.Equal(runs, c.runs) || !slices.Equal(got.Candidates(), c.candidates) {
				t.Errorf("works in %q, launched in %q, runs %q, candidates %q; want %q, %q, %q, %q",
					got.Works(), got.Launched(), runs, got.Candidates(), c.works, c.launched, c.runs, c.candidates)
			}
		})
	}
}
