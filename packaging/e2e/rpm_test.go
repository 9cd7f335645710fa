//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/journal"
)

// The rpm is installed by Debian's rpm, which knows none of the system's packages: hence --nodeps. Its
// scripts do what they do on any system.
func TestRPMPackage(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			h := boot(t, suite)
			steps(t, h, []step{
				{"installs without starting or enabling anything", rpmInstalls},
				{"fails clearly without a DSN and then runs", rpmRuns},
				{"keeps the edited configuration on upgrade", rpmUpgrades},
				{"is erased and keeps the edited configuration aside", rpmErases},
				{"follows the administrator's preset", rpmFollowsThePreset},
			})
		})
	}
}

func rpmInstalls(t *testing.T, h *host) {
	file := h.bring(t, oldVariable, "*x86_64.rpm")
	h.must(t, "rpm -i --nodeps "+file)
	h.want(t, "systemctl is-enabled "+timer, "disabled")
	h.want(t, "systemctl is-active "+timer+" "+service+" | sort -u", "inactive")
	h.want(t, "stat -c '%a %U:%G' "+configFile, "600 root:root")
	h.must(t, "id multica-rollup")
	if version := h.must(t, "multica-rollup version"); !strings.Contains(version, "0.0.1") {
		t.Errorf("version prints %q, want the package's", version)
	}
}

func rpmRuns(t *testing.T, h *host) {
	if h.try(t, "systemctl start "+service).Exit == 0 {
		t.Error("systemctl start succeeds without a DSN")
	}
	entries := h.journal(t, service, "")
	if len(having(entries, journal.ConfigProblem.UUID())) == 0 {
		t.Errorf("the journal does not say that the configuration is wrong:\n%s", show(entries))
	}
	makeMultica(t, h)
	h.configure(t, socketDSN)
	h.must(t, "systemctl enable --now "+timer+"; systemctl start "+service)
	wantOracle(t, h)
}

func rpmUpgrades(t *testing.T, h *host) {
	edited := h.must(t, "cat "+configFile)
	file := h.bring(t, newVariable, "*x86_64.rpm")
	h.must(t, "rpm -U --nodeps "+file)
	if version := h.must(t, "multica-rollup version"); !strings.Contains(version, "0.0.2") {
		t.Errorf("version prints %q, want the new package's", version)
	}
	if now := h.must(t, "cat "+configFile); now != edited {
		t.Errorf("the configuration has become:\n%s", now)
	}
	h.want(t, "systemctl is-enabled "+timer, "enabled")
	h.want(t, "systemctl is-active "+timer, "active")
	h.must(t, "systemctl start "+service)
}

func rpmErases(t *testing.T, h *host) {
	h.must(t, "rpm -e multica-rollup")
	h.want(t, "systemctl is-active "+timer+" "+service+" | sort -u", "inactive")
	h.want(t, "systemctl --failed --no-legend --plain", "")
	h.want(t, "systemctl list-unit-files --no-legend 'multica-rollup*'", "")
	h.want(t, "stat -c '%a %U:%G' "+configFile+".rpmsave", "600 root:root")
	h.must(t, "id multica-rollup")
	h.must(t, "! test -e /usr/bin/multica-rollup && ! test -e /usr/lib/systemd/system/"+service)
}

// Elsewhere the package's own preset counts, although Debian's policy enables what no preset names.
func rpmFollowsThePreset(t *testing.T, h *host) {
	h.file(t, "/etc/systemd/system-preset/10-local.preset", "enable "+timer+"\n")
	h.must(t, "chmod 0755 /etc/systemd/system-preset; chmod 0644 /etc/systemd/system-preset/*; rpm -i --nodeps "+h.bring(t, newVariable, "*x86_64.rpm"))
	h.want(t, "systemctl is-enabled "+timer, "enabled")
	h.want(t, "systemctl is-enabled multica-rollup-verify.timer", "disabled")
	h.want(t, "systemctl is-active "+timer, "inactive")
	h.must(t, "rpm -e multica-rollup; rm /etc/systemd/system-preset/10-local.preset")
}
