//go:build e2e

package e2e

import (
	"os"
	"testing"
)

// manager is a package manager that reads yum repositories, by its commands.
type manager struct {
	suites                              []string
	repos                               string // where it looks for repositories
	install, downgrade, upgrade, remove string
	refresh                             string // has to fail where the index is not as it was signed
}

var managers = map[string]manager{
	"dnf": {
		suites:    suites,
		repos:     "/etc/yum.repos.d",
		install:   "dnf -y --refresh --setopt=skip_if_unavailable=False install multica-rollup",
		downgrade: "dnf -y downgrade multica-rollup-0.0.1",
		upgrade:   "dnf -y upgrade",
		remove:    "dnf -y remove multica-rollup",
		refresh:   "dnf -y --refresh --setopt=skip_if_unavailable=False makecache",
	},
	"zypper": {
		suites:    []string{"trixie"}, // bookworm's does not see who provides a file, such as /bin/sh
		repos:     "/etc/zypp/repos.d",
		install:   "zypper --non-interactive --gpg-auto-import-keys refresh; zypper --non-interactive install multica-rollup",
		downgrade: "zypper --non-interactive install --oldpackage multica-rollup=0.0.1",
		upgrade:   "zypper --non-interactive update",
		remove:    "zypper --non-interactive remove multica-rollup",
		refresh:   "zypper --non-interactive refresh --force",
	},
}

// standIn provides what Debian's own packages do, of which rpm does not know.
const standIn = `Name: debian-stand-in
Version: 1
Release: 1
Summary: What Debian's packages provide
License: Apache-2.0
BuildArch: noarch
Provides: systemd = 252
Provides: /bin/sh
%description
%files
`

// TestYumRepository installs from the repository as Fedora and openSUSE do, with their package managers
// as Debian has them. Both the index and the packages have to be signed.
func TestYumRepository(t *testing.T) {
	for name, m := range managers {
		for _, suite := range m.suites {
			t.Run(suite+" "+name, func(t *testing.T) {
				t.Parallel()
				h := bootWith(t, suite, "dnf", "gpg", "rpm", "zypper")
				if err := os.CopyFS(h.Root()+"/srv/repo", os.DirFS(need(t, repoVariable))); err != nil {
					t.Fatal(err)
				}
				h.file(t, "/srv/stand-in.spec", standIn)
				h.must(t, "chmod -R a+rX /srv; rpmbuild -bb --define '_rpmdir /srv' /srv/stand-in.spec; rpm -i /srv/noarch/*.rpm")
				h.file(t, m.repos+"/multica-rollup.repo", `[multica-rollup]
name=multica-rollup
baseurl=file:///srv/repo/yum/$basearch
enabled=1
repo_gpgcheck=1
gpgcheck=1
gpgkey=file:///srv/repo/multica-rollup.asc
`)
				steps(t, h, []step{
					{"installs the newest version, disabled", m.installs},
					{"goes back to the version before and forward again", m.downgradesAndUpgrades},
					{"is refused when its index was tampered with", m.refusesTampering},
					{"is refused when a package was tampered with", m.refusesPackage},
				})
			})
		}
	}
}

func (m manager) installs(t *testing.T, h *host) {
	h.must(t, m.install)
	wantVersion(t, h, "0.0.2")
	h.want(t, "systemctl is-enabled "+timer, "disabled")
	h.must(t, "id multica-rollup")
	// The key that the package manager has imported by now is that of the packages too.
	h.must(t, "rpmkeys --checksig --verbose /srv/repo/yum/x86_64/*.rpm | grep 'Signature, key ID' | grep -c ': OK$' | grep -qx 2")
}

func (m manager) downgradesAndUpgrades(t *testing.T, h *host) {
	h.must(t, m.downgrade)
	wantVersion(t, h, "0.0.1")
	h.must(t, m.upgrade)
	wantVersion(t, h, "0.0.2")
}

func (m manager) refusesTampering(t *testing.T, h *host) {
	h.must(t, m.remove)
	h.must(t, "cp -a /srv/repo /root/repo; sed -i 's/<revision>/<revision>1/' /srv/repo/yum/x86_64/repodata/repomd.xml")
	for _, command := range []string{m.refresh, m.install} {
		if result := h.try(t, command); result.Exit == 0 {
			t.Errorf("%s takes a tampered index:\n%s%s", command, result.Stdout, result.Stderr)
		}
	}
	h.must(t, "! test -e /usr/bin/multica-rollup")
	h.must(t, "rm -r /srv/repo; mv /root/repo /srv/repo")
}

func (m manager) refusesPackage(t *testing.T, h *host) {
	h.must(t, m.refresh)
	// The last bytes of the payload; the size stays.
	h.must(t, `for rpm in /srv/repo/yum/x86_64/*.rpm; do
		printf 'tampered' | dd status=none conv=notrunc of="$rpm" bs=1 seek=$(($(stat -c %s "$rpm") - 8))
	done`)
	if result := h.try(t, m.install); result.Exit == 0 {
		t.Errorf("a tampered package is installed:\n%s%s", result.Stdout, result.Stderr)
	}
	h.must(t, "! test -e /usr/bin/multica-rollup")
}
