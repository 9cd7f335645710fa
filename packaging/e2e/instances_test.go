//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/journal"
)

// The second database of a host, its configuration and its units.
const (
	acmeDSN      = "postgres:///acme?host=/var/run/postgresql&user=postgres"
	acmeFile     = "/etc/multica/rollup.d/acme.toml"
	acmeService  = "multica-rollup@acme.service"
	acmeTimer    = "multica-rollup@acme.timer"
	acmeBackfill = "multica-rollup-backfill@acme.service"
)

// TestSeveralDatabases looks after two databases of one host.
func TestSeveralDatabases(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			h := boot(t, suite)
			steps(t, h, []step{
				{"says which file is missing", namesMissingFile},
				{"rolls up both by timers of their own", rollsUpBoth},
				{"shows both in status and doctor", showsBoth},
				{"tells a broken one from a sound one", tellsApart},
				{"resumes an instance's backfill after a reboot", resumesInstance},
			})
		})
	}
}

func namesMissingFile(t *testing.T, h *host) {
	h.must(t, "apt-get install -y "+h.bring(t, newVariable, "*_amd64.deb"))
	for unit, code := range map[string]string{acmeService: "78", acmeBackfill: "78", "multica-rollup-verify@acme.service": "3"} {
		cursor := h.cursor(t)
		if h.try(t, "systemctl start "+unit).Exit == 0 {
			t.Errorf("systemctl start %s succeeds without its file", unit)
		}
		// A failed unit is what alarms and OnFailure= go by.
		h.want(t, "systemctl is-failed "+unit, "failed")
		h.want(t, "systemctl show --value -p ExecMainStatus "+unit, code)
		problems := having(h.journal(t, unit, cursor), journal.ConfigProblem.UUID())
		if len(problems) != 1 || !strings.Contains(problems[0].get("MESSAGE"), "there is no "+acmeFile) {
			t.Errorf("the journal of %s does not name the missing file:\n%s", unit, show(h.journal(t, unit, cursor)))
		}
	}
	h.must(t, "systemctl reset-failed")
}

func rollsUpBoth(t *testing.T, h *host) {
	makeMultica(t, h)
	server := strings.Replace(acmeDSN, "/acme?", "/postgres?", 1)
	h.must(t, `cd /
		runuser -u postgres -- multica-lab create --dsn '`+server+`' --database acme
		runuser -u postgres -- multica-lab seed --shape dense --dsn '`+acmeDSN+`' --seed 7 --tasks 2000 --months 2
		runuser -u postgres -- psql -qXv ON_ERROR_STOP=1 -d acme -f /usr/share/doc/multica-rollup/examples/role.sql`)
	h.configure(t, socketDSN, `engine = "set"`)
	// As the guide has it.
	h.must(t, "install -m 0600 "+configFile+" "+acmeFile+"; sed -i 's/dbname=multica /dbname=acme /' "+acmeFile)
	h.must(t, "systemctl enable --now "+timer+" "+acmeTimer)
	for _, unit := range []string{service, acmeService} {
		h.until(t, "journalctl -q --no-pager -u "+unit+" MESSAGE_ID="+journal.RunFinished.UUID()+" | grep -q .")
		finished := having(h.journal(t, unit, ""), journal.RunFinished.UUID())
		if got, want := finished[0].get("MULTICA_ROLLUP_DATABASE"), map[string]string{service: "/multica", acmeService: "/acme"}[unit]; !strings.HasSuffix(got, want) {
			t.Errorf("%s rolled up %q, want %s", unit, got, want)
		}
	}
	wantOracle(t, h)
	wantAcme(t, h)
	h.must(t, "find "+stateDir+"/acme -type f | grep -q .")
}

// wantAcme is wantOracle of the second database.
func wantAcme(t *testing.T, h *host) {
	t.Helper()
	h.want(t, `cd /; runuser -u postgres -- psql -qXAtd acme -c 'SELECT count(*) > 0 FROM task_usage_hourly'`, "t")
	h.must(t, `cd /; runuser -u postgres -- multica-lab oracle --dsn '`+acmeDSN+`'`)
}

// verdicts is what status --all says of each instance.
func verdicts(t *testing.T, h *host) map[string]string {
	t.Helper()
	result := h.try(t, "sudo multica-rollup status --all --json")
	var all struct {
		Instances []struct{ Instance, Config, Status, Error string }
	}
	if err := json.Unmarshal([]byte(result.Stdout), &all); err != nil {
		t.Fatalf("status --all (exit code %d): %v\n%s%s", result.Exit, err, result.Stdout, result.Stderr)
	}
	found := map[string]string{}
	for _, e := range all.Instances {
		found[e.Instance] = e.Status
		if e.Status == "unknown" && !strings.Contains(e.Error, e.Config) {
			t.Errorf("the fault of %s does not name its file: %s", e.Instance, e.Error)
		}
	}
	return found
}

func showsBoth(t *testing.T, h *host) {
	if got := fmt.Sprint(verdicts(t, h)); got != "map[acme:ok default:ok]" {
		t.Errorf("status --all finds %s:\n%s", got, h.try(t, "sudo multica-rollup status --all").Stdout)
	}
	h.want(t, "sudo multica-rollup status --all >/dev/null; echo $?", "0")
	said := h.try(t, "sudo multica-rollup doctor --all").Stdout
	for _, database := range []string{"default (/var/run/postgresql:5432/multica)", "acme (/var/run/postgresql:5432/acme)"} {
		if !strings.Contains(said, database) {
			t.Errorf("doctor --all says nothing of %s:\n%s", database, said)
		}
	}
	if strings.Contains(said, "CRITICAL") {
		t.Errorf("doctor --all finds fault:\n%s", said)
	}
}

func tellsApart(t *testing.T, h *host) {
	h.must(t, "cp -p "+acmeFile+" /root/acme.toml; echo 'engin = \"set\"' >"+acmeFile)
	if got := fmt.Sprint(verdicts(t, h)); got != "map[acme:unknown default:ok]" {
		t.Errorf("status --all finds %s", got)
	}
	if h.try(t, "systemctl start "+acmeService).Exit == 0 {
		t.Error("the instance runs by a configuration that is wrong")
	}
	h.must(t, "systemctl start "+service) // which is not concerned
	h.must(t, "cp -p /root/acme.toml "+acmeFile+"; systemctl reset-failed; systemctl start "+acmeService)
}

func resumesInstance(t *testing.T, h *host) {
	h.must(t, `cd /; runuser -u postgres -- multica-lab seed --shape dense --dsn '`+acmeDSN+`' --seed 8 --tasks 60000`)
	slow := "/etc/systemd/system/multica-rollup-backfill@.service.d/slow.conf"
	h.file(t, slow, "[Service]\nEnvironment=MULTICA_ROLLUP_BACKFILL_SLEEP_BETWEEN_SLICES=5s\n")
	h.must(t, "systemctl daemon-reload; systemctl start "+acmeBackfill)
	h.until(t, "find "+stateDir+"/acme -name '*.backfill.json' | grep -q .")
	h.must(t, "rm -r $(dirname "+slow+")")
	if err := h.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.until(t, "journalctl -q --no-pager -b -u "+acmeBackfill+" MESSAGE_ID="+journal.BackfillFinished.UUID()+" | grep -q .")
	wantAcme(t, h)
	h.want(t, "find "+stateDir+" -name '*.backfill.json'", "")
	h.want(t, "systemctl is-active "+timer+" "+acmeTimer+" | sort -u", "active")
	h.want(t, "systemctl --failed --no-legend --plain", "")
}
