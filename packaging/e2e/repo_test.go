//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"
)

// repoVariable names the directory with the repositories that run.sh made of both versions.
const repoVariable = "E2E_REPO"

func TestAptRepository(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			h := boot(t, suite)
			if err := os.CopyFS(h.Root()+"/srv/repo", os.DirFS(need(t, repoVariable))); err != nil {
				t.Fatal(err)
			}
			h.must(t, "chmod -R a+rX /srv")
			h.file(t, "/etc/apt/sources.list.d/multica-rollup.sources", documentedSources(t))
			h.must(t, "chmod 0644 /etc/apt/sources.list.d/multica-rollup.sources")
			steps(t, h, []step{
				{"installs the newest version", installsNewest},
				{"goes back to the version before and forward again", downgradesAndUpgrades},
				{"is refused when its index was tampered with", refusesTampering},
			})
		})
	}
}

// documentedSources is what docs/releasing.md has users write, for a repository in /srv.
func documentedSources(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/releasing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "multica-rollup.sources\n")
	sources, _, ends := strings.Cut(rest, "$ ")
	if !found || !ends {
		t.Fatal("docs/releasing.md has no file of sources")
	}
	return strings.NewReplacer("https://REPOSITORY", "file:/srv/repo", "/usr/share/keyrings", "/srv/repo").Replace(sources)
}

func wantVersion(t *testing.T, h *host, version string) {
	t.Helper()
	if got := h.must(t, "multica-rollup version"); !strings.Contains(got, version) {
		t.Errorf("version prints %q, want %s", got, version)
	}
}

func installsNewest(t *testing.T, h *host) {
	h.must(t, "apt-get update --error-on=any && apt-get install -y multica-rollup")
	wantVersion(t, h, "0.0.2")
}

func downgradesAndUpgrades(t *testing.T, h *host) {
	h.must(t, "apt-get install -y --allow-downgrades 'multica-rollup=0.0.1*'")
	wantVersion(t, h, "0.0.1")
	h.must(t, "apt-get upgrade -y")
	wantVersion(t, h, "0.0.2")
}

func refusesTampering(t *testing.T, h *host) {
	h.must(t, "sed -i 's/^Suite: .*/Suite: stablish/' /srv/repo/apt/dists/stable/InRelease")
	result := h.try(t, "apt-get update --error-on=any")
	if result.Exit == 0 {
		t.Errorf("apt takes a tampered index:\n%s%s", result.Stdout, result.Stderr)
	}
}
