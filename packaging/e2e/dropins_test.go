//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/journal"
)

// TestDropIns installs the example drop-ins as their comments say.
func TestDropIns(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			h := bootWith(t, suite, "acl", "postgresql")
			h.must(t, "apt-get install -y "+h.bring(t, newVariable, "*_amd64.deb"))
			makeMultica(t, h)
			steps(t, h, []step{
				{"tells of a failure by OnFailure=", tellsOfFailure},
				{"works without any network for a local socket", worksWithoutNetwork},
				{"takes the DSN from a credential", takesCredential},
				{"writes metrics out of the sandbox", writesMetrics},
				{"pings a dead man's switch on success and failure", pings},
			})
		})
	}
}

// addDropIn installs an example for the service.
func addDropIn(t *testing.T, h *host, name string) {
	t.Helper()
	h.must(t, `cd /usr/share/doc/multica-rollup/examples/systemd
		install -D -m 0644 `+name+` /etc/systemd/system/`+service+`.d/`+name+`
		systemctl daemon-reload`)
}

// runsOnce starts the service, which has to finish a run, and returns the entry about it.
func runsOnce(t *testing.T, h *host) entry {
	t.Helper()
	cursor := h.cursor(t)
	h.must(t, "systemctl start "+service)
	entries := h.journal(t, service, cursor)
	finished := having(entries, journal.RunFinished.UUID())
	if len(finished) != 1 {
		t.Fatalf("want one run that finished:\n%s", show(entries))
	}
	return finished[0]
}

func tellsOfFailure(t *testing.T, h *host) {
	h.file(t, "/etc/systemd/system/notify-failure@.service", `[Service]
Type=oneshot
ExecStart=/bin/sh -c 'systemctl status --full --lines=20 "%i" >/srv/told || :'
`)
	addDropIn(t, h, "notify-on-failure.conf")
	h.must(t, "! systemctl start "+service) // there is no DSN yet
	h.until(t, "systemctl show --value -p ExecMainExitTimestamp notify-failure@"+service+".service | grep -q .")
	told := h.must(t, "cat /srv/told")
	if !strings.Contains(told, "no DSN") || !strings.Contains(told, service) {
		t.Errorf("what is told does not say what failed and why:\n%s", told)
	}
	h.must(t, "systemctl reset-failed; rm /srv/told")
	h.configure(t, socketDSN)
	runsOnce(t, h)
	h.must(t, "! test -e /srv/told")
	wantOracle(t, h)
}

func worksWithoutNetwork(t *testing.T, h *host) {
	addDropIn(t, h, "local-socket.conf")
	runsOnce(t, h)
	// Over TCP it cannot even try.
	h.configure(t, `dsn = "host=127.0.0.1 dbname=multica user=multica-rollup"`)
	cursor := h.cursor(t)
	h.must(t, "! systemctl start "+service)
	if said := show(h.journal(t, service, cursor)); !strings.Contains(said, "connecting to 127.0.0.1:5432/multica: ") {
		t.Errorf("the journal does not say what could not be reached:\n%s", said)
	}
	h.must(t, "systemctl reset-failed; rm /etc/systemd/system/"+service+".d/local-socket.conf; systemctl daemon-reload")
}

func takesCredential(t *testing.T, h *host) {
	h.file(t, "/etc/multica/dsn", "host=/var/run/postgresql dbname=multica user=multica-rollup\n")
	h.file(t, "/etc/multica/client.key", "not used here\n")
	addDropIn(t, h, "credentials.conf")
	h.configure(t, `dsn_file = "credential:dsn"`)
	runsOnce(t, h)
	// Root's own commands find what the drop-in passes.
	h.must(t, "sudo multica-rollup run")
	h.must(t, "rm /etc/systemd/system/"+service+".d/credentials.conf; systemctl daemon-reload; sed -i '/^dsn_file/d' "+configFile)
}

func writesMetrics(t *testing.T, h *host) {
	const directory = "/var/lib/prometheus/node-exporter"
	h.must(t, "mkdir -p "+directory+"; setfacl -m u:multica-rollup:rwx "+directory)
	addDropIn(t, h, "textfile.conf")
	h.configure(t, socketDSN)
	h.file(t, "/root/metrics", "[metrics]\ntextfile = \""+directory+"/multica-rollup.prom\"\n")
	h.must(t, "sed -i '/^.metrics.$/d' "+configFile+"; cat /root/metrics >>"+configFile)
	runsOnce(t, h)
	h.must(t, "grep -q '^multica_rollup_' "+directory+"/multica-rollup.prom")
	h.must(t, "runuser -u nobody -- cat "+directory+"/multica-rollup.prom >/dev/null") // as node_exporter reads it
}

// pings has a curl that writes down what it is given, since no box has a network.
func pings(t *testing.T, h *host) {
	const address = "https://switch.example/5ecret-uu1d"
	h.file(t, "/usr/local/bin/curl", "#!/bin/sh\necho \"curl $*: $(cat)\"\n")
	h.file(t, "/etc/multica/ping-url", address+"/\n")
	h.must(t, "chmod 0755 /usr/local/bin/curl; chmod 0600 /etc/multica/ping-url")
	h.must(t, `cd /usr/share/doc/multica-rollup/examples/systemd
		install -m 0644 multica-rollup-ping@.service /etc/systemd/system/multica-rollup-ping@.service`)
	addDropIn(t, h, "ping.conf")
	h.must(t, "systemd-analyze verify multica-rollup-ping@success.service")
	sent := func(instance string) string {
		unit := "multica-rollup-ping@" + instance + ".service"
		h.until(t, "journalctl --no-pager -o cat -u "+unit+" | grep -q '^curl '")
		h.must(t, "! systemctl is-failed "+unit)
		return h.must(t, "journalctl --no-pager -o cat -u "+unit+" | grep '^curl '")
	}
	runsOnce(t, h)
	good := sent("success")
	h.configure(t, `dsn = "host=127.0.0.1 port=1 dbname=multica user=multica-rollup"`)
	h.must(t, "! systemctl start "+service)
	bad := sent("exit-code")
	for said, want := range map[string]string{good: "url = \"" + address + "\"", bad: "url = \"" + address + "/fail\""} {
		args, stdin, _ := strings.Cut(said, ": ")
		if stdin != want || strings.Contains(args, "switch.example") {
			t.Errorf("curl got %q, want %q on its standard input alone", said, want)
		}
	}
	h.must(t, "! grep -rq 5ecret /etc/systemd/system; ! systemctl show 'multica-rollup-ping@*' | grep -q 5ecret")
	// A ping that fails does not make the run fail.
	h.must(t, "rm /etc/multica/ping-url; systemctl reset-failed")
	h.configure(t, socketDSN)
	runsOnce(t, h)
	h.must(t, "systemctl reset-failed; rm /etc/systemd/system/"+service+".d/ping.conf; systemctl daemon-reload")
}
