//go:build e2e

package e2e

import (
	"testing"
)

// TestStoppedUpgrade is the way on for who upgrades Multica from v0.3.4 and is stopped by migration 103.
func TestStoppedUpgrade(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			h := boot(t, suite)
			steps(t, h, []step{
				{"is told by guard that migration 103 would refuse", guardRefuses},
				{"passes after the backfill", guardPasses},
			})
		})
	}
}

func guardRefuses(t *testing.T, h *host) {
	h.must(t, "apt-get install -y "+h.bring(t, newVariable, "*_amd64.deb"))
	makeGeneration(t, h, "interrupted-upgrade")
	h.configure(t, socketDSN)
	h.want(t, "multica-rollup guard >/dev/null || echo $?", "1")
	h.want(t, "cd /; runuser -u postgres -- multica-lab guard --dsn '"+ownersDSN+"' >/dev/null || echo $?", "1")
}

func guardPasses(t *testing.T, h *host) {
	h.must(t, "systemctl start "+backfill)
	h.until(t, "multica-rollup guard")
	h.must(t, "cd /; runuser -u postgres -- multica-lab guard --dsn '"+ownersDSN+"'")
	h.until(t, "! systemctl is-active --quiet "+backfill)
	h.want(t, "systemctl is-failed "+backfill, "inactive")
	wantOracle(t, h)
}
