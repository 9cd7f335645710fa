//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/doctor"
)

// cause is one thing that is wrong with a host, made for real.
type cause struct {
	name string
	make string // the script that makes it
	of   string // the configuration of the instance that it is made for; "" is the host's own

	id      string
	verdict doctor.Verdict
	fix     string // what doctor has to print, all of it
	says    string // what its summary or its evidence contains
	// mend is what an operator does who is advised in words; "" where the fix is
	// a command: that is run as it is printed.
	mend string
	then *cause // what the fix uncovers, to be mended in its turn
	// undo takes away what was needed for making the cause; prove runs last.
	undo, prove string
}

const (
	timerDropIn   = "/etc/systemd/system/" + timer + ".d"
	serviceDropIn = "/etc/systemd/system/" + service + ".d"
	startService  = "systemctl start " + service
	instance      = "/etc/multica/rollup.d/eu.toml"
	// quiet waits until the run that a timer starts at once is over.
	quiet = "\nfor _ in $(seq 300); do systemctl is-active --quiet " + service + " || break; sleep 0.1; done"
)

// hostCauses are the causes that only a whole host has: those of units, files and
// file systems. Causes in the database have their table beside the checks.
func hostCauses() []cause {
	return []cause{
		{
			name: "the timer was never enabled", make: "systemctl disable --now " + timer,
			id: "timer", verdict: doctor.Critical, fix: "systemctl enable --now " + timer, says: "is not enabled",
		}, {
			name: "the timer is stopped", make: "systemctl stop " + timer,
			id: "timer", verdict: doctor.Critical, fix: "systemctl start " + timer, says: "is enabled but stopped",
		}, {
			name: "the timer is masked", make: "systemctl disable --now " + timer + "; systemctl mask " + timer,
			id: "timer", verdict: doctor.Critical, fix: "systemctl unmask " + timer + " && systemctl enable --now " + timer, says: "masked",
		}, {
			name: "the timer is masked while it runs", make: "systemctl mask " + timer,
			id: "timer", verdict: doctor.Critical, fix: "systemctl unmask " + timer + " && systemctl enable --now " + timer, says: "nothing can start it",
		}, {
			name: "the timer fires no more",
			make: dropIn(timerDropIn, "[Timer]\nOnCalendar=\nOnCalendar=2020-01-01 00:00:00") + "systemctl restart " + timer + quiet,
			id:   "timer", verdict: doctor.Critical, says: timerDropIn + "/own.conf",
			fix:   "systemctl revert " + timer + " && systemctl restart " + timer,
			prove: "test ! -e " + timerDropIn,
		}, {
			name: "an instance's timer was never enabled", of: instance,
			make: "install -D -m 0600 " + configFile + " " + instance,
			id:   "timer", verdict: doctor.Critical, fix: "systemctl enable --now multica-rollup@eu.timer", says: "multica-rollup@eu.timer is not enabled",
			// The instance has the default's database, which others have rolled up by then.
			then:  &cause{of: instance, id: "proven", verdict: doctor.Warning, fix: "multica-rollup --config " + instance + " backfill", says: "are not proven"},
			prove: "for _ in $(seq 300); do ls " + stateDir + "/eu/*.json && break; sleep 0.1; done; systemctl disable --now multica-rollup@eu.timer; rm " + instance,
		}, {
			name: "the configuration is broken",
			make: `cp -p ` + configFile + ` /root/good.toml; sed -i '1i log_level = "loud"' ` + configFile + `
				! ` + startService,
			id: "config", verdict: doctor.Critical, says: "log_level", fix: "mend what is named above; multica-rollup config check tells whether all is well, and man multica-rollup.toml lists every key",
			mend: "sed -i '/^log_level = \"loud\"$/d' " + configFile,
			then: &cause{id: "service", verdict: doctor.Critical, fix: startService, says: "the configuration is wrong"},
			undo: "cmp /root/good.toml " + configFile,
		}, {
			name: "a drop-in breaks the sandbox",
			make: dropIn(serviceDropIn, "[Service]\nReadWritePaths=/nonexistent/directory") + "! " + startService,
			id:   "service", verdict: doctor.Critical, says: "the sandbox could not be set up",
			fix: "systemctl revert " + service + " && systemctl start " + service,
		}, {
			name: "the server is stopped", make: "systemctl stop postgresql 'postgresql@*'; ! " + startService,
			id: "reach", verdict: doctor.Critical, fix: "systemctl start postgresql", says: "therefore: " + service + " failed",
			then: &cause{id: "service", verdict: doctor.Critical, fix: startService, says: "no database answered"},
		}, {
			name: "nobody rolls up, nor is there a timer",
			// Hours pass by setting back what the last run left in the database.
			make: "systemctl disable --now " + timer + quiet + "\nmv /usr/lib/systemd/system/" + timer + ` /root/; systemctl daemon-reload
				` + psql("UPDATE task_usage_hourly_rollup_state SET last_run_finished_at = now() - interval '3 hours'"),
			id: "scheduler", verdict: doctor.Critical, fix: "multica-rollup run --every 5m", says: "is not installed on this host",
			mend: "systemd-run --quiet --unit every multica-rollup run --every 5m",
			undo: "systemctl stop every; mv /root/" + timer + " /usr/lib/systemd/system/; systemctl daemon-reload; systemctl enable --now " + timer + quiet,
		}, {
			name: "an entry of cron beside the timer",
			make: "mkdir -p /etc/cron.d; echo '*/5 * * * * root multica-rollup run' >/etc/cron.d/rollup",
			id:   "duplicates", verdict: doctor.Warning, fix: "rm /etc/cron.d/rollup", says: "cron: multica-rollup run",
		}, {
			name: "a line of the crontab beside the timer",
			make: "echo '17 * * * * root run-parts /etc/cron.hourly\n*/5 * * * * postgres psql -c \"select rollup_task_usage_hourly()\" multica' >/etc/crontab",
			id:   "duplicates", verdict: doctor.Warning, fix: "take the line out of /etc/crontab",
			mend: "sed -i /rollup_task_usage_hourly/d /etc/crontab", undo: "rm /etc/crontab",
		}, {
			name: "everybody can read a password",
			make: "sed -i 's|^dsn = .*|dsn = \"postgres://multica-rollup:" + password + "@/multica?host=/var/run/postgresql\"|' " + configFile + "; chmod 0644 " + configFile,
			id:   "config", verdict: doctor.Warning, fix: "chmod 0600 " + configFile, says: "0644",
			undo: "stat -c %a:%U " + configFile + " | grep -qx 600:root",
		}, {
			name: "everybody can write the configuration", make: "chmod 0622 " + configFile,
			id: "config", verdict: doctor.Warning, fix: "chmod 0600 " + configFile, says: "who may write it chooses the database",
		}, {
			name: "the weekly recount found a difference",
			make: psql("UPDATE task_usage_hourly SET input_tokens = input_tokens + 1 WHERE ctid = (SELECT min(ctid) FROM task_usage_hourly)") +
				"\n! systemctl start multica-rollup-verify.service",
			id: "drift", verdict: doctor.Warning, fix: "multica-rollup verify --repair", says: "1 hourly key wrong",
		}, {
			name: "the state directory belongs to another", make: "chown root:root " + stateDir + "; chmod 0755 " + stateDir,
			id: "state-dir", verdict: doctor.Warning, fix: "install -d -m 0750 -o multica-rollup -g multica-rollup " + stateDir, says: "cannot be written",
			undo: "stat -c %a:%U:%G " + stateDir + " | grep -qx 750:multica-rollup:multica-rollup",
		}, {
			name: "the file system of the state directory is full",
			make: "mount -t tmpfs -o size=32m,mode=0750,uid=multica-rollup,gid=multica-rollup tmpfs " + stateDir + `
				multica-rollup backfill; ` + startService + "; head -c 64M /dev/zero >" + stateDir + "/ballast || true\n" + startService, // which works without memory, and says so
			id: "state-dir", verdict: doctor.Warning, fix: "make room on the file system of " + stateDir, says: "is full",
			mend: "rm " + stateDir + "/ballast",
			undo: "umount " + stateDir + "; " + startService, // what was remembered before is older than the watermark
		}, {
			name: "the schema's functions are not known", make: `sed -i 's/^engine = .*/engine = "auto"/' ` + configFile,
			id: "fingerprints", verdict: doctor.Warning, fix: `in the configuration: engine = "set"`, says: "rollup_task_usage_hourly_window",
			mend: `multica-rollup verify --engines; sed -i 's/^engine = .*/engine = "set"/' ` + configFile,
		}, {
			name: "a backfill was killed in the middle",
			make: "cd /; runuser -u postgres -- multica-lab seed --shape dense --dsn '" + ownersDSN + "' --seed 2 --tasks 60000\n" +
				dropIn("/etc/systemd/system/"+backfill+".d", "[Service]\nEnvironment=MULTICA_ROLLUP_BACKFILL_SLEEP_BETWEEN_SLICES=1h") +
				"systemctl start " + backfill + `
				for _ in $(seq 300); do grep -qs '"done": [1-9]' ` + stateDir + `/*.backfill.json && break; sleep 0.1; done
				systemctl kill -s KILL ` + backfill + "; systemctl stop " + backfill + "; systemctl revert " + backfill,
			id: "backfill", verdict: doctor.Warning, fix: "systemctl start " + backfill, says: "it goes on where it was",
			prove: "for _ in $(seq 600); do systemctl is-active --quiet " + backfill + " || break; sleep 0.1; done\n! ls " + stateDir + "/*.backfill.json",
		},
	}
}

func dropIn(directory, text string) string {
	return "mkdir -p " + directory + "; printf %s\\\\n " + quote(text) + " >" + directory + "/own.conf; systemctl daemon-reload\n"
}

// psql is a script that runs one statement as the database's owner.
func psql(statement string) string {
	return "(cd /; runuser -u postgres -- psql -qXAtv ON_ERROR_STOP=1 -d multica -c " + quote(statement) + ")"
}

// TestDoctorMendsEveryCauseOfAHost makes one cause after the other on a booted
// host, demands that doctor names it alone, and runs the fix that doctor prints.
func TestDoctorMendsEveryCauseOfAHost(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			h := boot(t, suite)
			h.must(t, "apt-get install -y "+h.bring(t, newVariable, "*_amd64.deb"))
			makeMultica(t, h)
			h.configure(t, socketDSN, `engine = "set"`)
			h.must(t, "systemctl enable --now "+timer+quiet)
			h.becomesWell(t)
			for _, c := range hostCauses() {
				if !t.Run(c.name, func(t *testing.T) { c.treat(t, h) }) {
					t.Fatalf("the next causes need a host that is well; the journal's end:\n%s", h.try(t, "journalctl -q --no-pager -n 40").Stdout)
				}
			}
			t.Run("the timer is gone after a reboot", func(t *testing.T) { isGoneAfterReboot(t, h) })
			wantOracle(t, h)
		})
	}
}

// untilNoTick lets the timer's next tick go by where it is near: systemd gives the
// service its state directory back, and a run that goes well ends what a failed one left.
const untilNoTick = "while s=$(($(date +%s) % 300)); [ $s -ge 285 ] || [ $s -lt 12 ]; do sleep 1; done"

func (c cause) treat(t *testing.T, h *host) {
	t.Helper()
	// Nobody makes so many causes within ten seconds that systemd would call them too many starts.
	h.try(t, "systemctl reset-failed "+service+" "+timer)
	h.must(t, untilNoTick)
	h.must(t, c.make)
	c.mendOn(t, h)
	for before, next := c.id, c.then; next != nil; before, next = next.id, next.then {
		h.until(t, "multica-rollup doctor --only "+before) // a server, say, takes a moment to start
		next.mendOn(t, h)
	}
	h.until(t, doctorOf(c.of))
	h.must(t, ":\n"+c.undo+"\n"+c.prove)
	h.becomesWell(t)
}

// mendOn demands that doctor names the cause alone, and carries out what it says.
func (c cause) mendOn(t *testing.T, h *host) {
	t.Helper()
	found := h.findings(t, c.of)
	if len(found) != 1 || found[0].ID != c.id || found[0].Verdict != c.verdict || found[0].Fix == nil {
		t.Fatalf("doctor finds this, want %s (%s) alone:\n%s", c.id, c.verdict, h.try(t, doctorOf(c.of)).Stdout)
	}
	f := found[0]
	t.Logf("%s: %s\nfix: %s", f.ID, f.Summary, f.Fix)
	if f.Fix.String() != c.fix {
		t.Errorf("doctor says %q, want %q", f.Fix, c.fix)
	}
	if all := f.Summary + "\n" + strings.Join(f.Evidence, "\n"); !strings.Contains(all, c.says) {
		t.Errorf("nothing says %q:\n%s", c.says, all)
	}
	switch {
	case c.mend != "":
		h.must(t, c.mend)
	case f.Fix.Command != "":
		h.must(t, f.Fix.Command)
	default:
		t.Fatalf("a fix in words, and nobody knows how to do it: %s", f.Fix)
	}
}

// doctorOf is doctor's command line for a configuration, "" for the host's own.
func doctorOf(config string) string {
	if config == "" {
		config = configFile
	}
	return "sudo multica-rollup --config " + config + " doctor"
}

// findings are those of doctor's that are not well.
func (h *host) findings(t *testing.T, config string) []doctor.Finding {
	t.Helper()
	result := h.try(t, doctorOf(config)+" --json")
	var report doctor.Report
	if err := json.Unmarshal([]byte(result.Stdout), &report); err != nil || len(report.Findings) == 0 {
		t.Fatalf("doctor reports (exit code %d, %v):\n%s%s", result.Exit, err, result.Stdout, result.Stderr)
	}
	if result.Exit != report.Verdict.ExitCode() {
		t.Errorf("doctor ends with %d, its verdict is %s", result.Exit, report.Verdict)
	}
	var bad []doctor.Finding
	for _, f := range report.Findings {
		if f.Verdict != doctor.OK {
			bad = append(bad, f)
		}
	}
	return bad
}

// becomesWell waits until doctor finds nothing: what a fix starts may take a moment.
func (h *host) becomesWell(t *testing.T) {
	t.Helper()
	h.until(t, "multica-rollup doctor")
}

// isGoneAfterReboot: a timer that runs and is not enabled is a cause that shows only later.
func isGoneAfterReboot(t *testing.T, h *host) {
	cause{
		make: "systemctl disable " + timer,
		id:   "timer", verdict: doctor.Warning, fix: "systemctl enable " + timer, says: "gone after a reboot",
	}.treat(t, h)
	for _, state := range []string{"inactive", "active"} {
		if state == "inactive" {
			h.must(t, "systemctl disable "+timer)
		} else {
			h.must(t, "systemctl enable "+timer)
		}
		if err := h.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.want(t, "systemctl is-active "+timer, state)
	}
	h.becomesWell(t)
}
