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
			h.must(t, `chmod -R a+rX /srv
				echo 'deb [signed-by=/srv/repo/multica-rollup.gpg] file:/srv/repo/apt stable main' >/etc/apt/sources.list.d/multica-rollup.list`)
			steps(t, h, []step{
				{"installs the newest version", installsNewest},
				{"goes back to the version before and forward again", downgradesAndUpgrades},
				{"is refused when its index was tampered with", refusesTampering},
			})
		})
	}
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
