//go:build e2e

package e2e

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/journal"
)

func TestDebianPackage(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			h := boot(t, suite)
			before := listFiles(t, h)
			steps(t, h, []step{
				{"installs without starting or enabling anything", installs},
				{"keeps the configuration to root", keepsConfigurationPrivate},
				{"ships units that verify and are confined", shipsSoundUnits},
				{"fails clearly without a DSN", failsWithoutDSN},
				{"runs by itself once the timer is enabled", runsByTimer},
				{"reports to the journal with fields", reportsToJournal},
				{"shows its result in systemctl status", showsStatus},
				{"is found well by doctor", isFoundWell},
				{"reaches a database at another address", reachesOtherAddress},
				{"shares its state between root and the service", sharesIdentity},
				{"resumes an interrupted backfill after a reboot", resumesAfterReboot},
				{"reports drift every week once the recount's timer is enabled", recountsByTimer},
				{"keeps the edited configuration on upgrade", upgrades},
				{"never tells the password", keepsPasswordSecret},
				{"stops on removal and keeps the configuration", isRemoved},
				{"goes on where it was when installed again", comesBack},
				{"leaves nothing but the user when purged", func(t *testing.T, h *host) { isPurged(t, h, before) }},
			})
		})
	}
}

func installs(t *testing.T, h *host) {
	deb := h.bring(t, oldVariable, "*_amd64.deb")
	h.must(t, "apt-get install -y "+deb)
	h.want(t, "systemctl is-enabled "+timer, "disabled")
	h.want(t, "systemctl is-active "+timer+" "+service+" | sort -u", "inactive")
	h.want(t, "systemctl --failed --no-legend --plain", "")
	h.want(t, "id -un multica-rollup; getent passwd multica-rollup | cut -d: -f7", "multica-rollup\n/usr/sbin/nologin")
	if version := h.must(t, "multica-rollup version"); !strings.Contains(version, "0.0.1") {
		t.Errorf("version prints %q, want the package's", version)
	}
	h.must(t, "man -w 1 multica-rollup; man -w 5 multica-rollup.toml; man -w 8 multica-rollup-backfill.service")
}

func keepsConfigurationPrivate(t *testing.T, h *host) {
	h.want(t, "stat -c '%a %U:%G' "+configFile, "600 root:root")
	h.want(t, "dpkg-query -W -f '${Conffiles}\n' multica-rollup | grep -c "+configFile, "1")
	h.must(t, "! runuser -u nobody -- cat "+configFile)
}

func shipsSoundUnits(t *testing.T, h *host) {
	h.must(t, "systemd-analyze verify --recursive-errors=yes $(dpkg -L multica-rollup | grep -E '/systemd/system/[^@]*[.](service|timer)$')")
	const limit = 1.1
	services := strings.Fields(h.must(t, "dpkg -L multica-rollup | grep -E '/systemd/system/[^/]*[.]service$' | xargs -n 1 basename"))
	if len(services) < 7 {
		t.Fatalf("the package has only the services %v", services)
	}
	for _, unit := range services {
		unit = strings.Replace(unit, "@.", "@instance.", 1)
		// → Overall exposure level for multica-rollup.service: 0.9 SAFE :-)
		line := h.must(t, "systemd-analyze security --no-pager "+unit+" | tail -n 1")
		_, level, _ := strings.Cut(line, unit+": ")
		level, _, _ = strings.Cut(level, " ")
		// The figure is in the name, for those who read what passed.
		t.Run(unit+" has "+level, func(t *testing.T) {
			exposure, err := strconv.ParseFloat(level, 64)
			if err != nil || exposure > limit {
				t.Errorf("want an exposure of at most %v: %s (%v)", limit, line, err)
			}
		})
	}
}

func failsWithoutDSN(t *testing.T, h *host) {
	cursor := h.cursor(t)
	if h.try(t, "systemctl start "+service).Exit == 0 {
		t.Error("systemctl start succeeds without a DSN")
	}
	if got := h.property(t, service, "ExecMainStatus"); got != "78" {
		t.Errorf("exit status is %s, want 78", got)
	}
	entries := h.journal(t, service, cursor)
	problems := having(entries, journal.ConfigProblem.UUID())
	if len(problems) != 1 {
		t.Fatalf("want one entry about the configuration, found:\n%s", show(entries))
	}
	text := problems[0].get("MESSAGE") + problems[0].get("MULTICA_ROLLUP_HINT")
	if !strings.Contains(text, "dsn") || !strings.Contains(text, configFile) {
		t.Errorf("the entry does not say which key of which file is missing: %s", text)
	}
	h.must(t, "systemctl reset-failed")
	// Nothing retries what only the operator can mend.
	h.want(t, "systemctl is-active "+service, "inactive")
}

func runsByTimer(t *testing.T, h *host) {
	makeMultica(t, h)
	h.configure(t, socketDSN)
	h.want(t, "multica-rollup config check >/dev/null 2>&1; echo $?", "0")
	h.must(t, "systemctl enable --now "+timer)
	h.until(t, "journalctl -q --no-pager -u "+service+" MESSAGE_ID="+journal.RunFinished.UUID()+" | grep -q .")
	h.until(t, "systemctl is-active --quiet "+timer+" && ! systemctl is-active --quiet "+service)
	h.want(t, "systemctl is-failed "+service, "inactive")
	wantOracle(t, h)
	if next := h.property(t, timer, "NextElapseUSecRealtime"); next == "" || next == "0" {
		t.Error("the timer has no next elapse")
	}
}

func reportsToJournal(t *testing.T, h *host) {
	finished := having(h.journal(t, service, ""), journal.RunFinished.UUID())
	if len(finished) == 0 {
		t.Fatal("no run has finished")
	}
	e := finished[0]
	if rows, err := strconv.Atoi(e.get("MULTICA_ROLLUP_ROWS")); err != nil || rows < 1 {
		t.Errorf("MULTICA_ROLLUP_ROWS is %q, want a positive number", e.get("MULTICA_ROLLUP_ROWS"))
	}
	watermark, err := time.Parse(time.RFC3339Nano, e.get("MULTICA_ROLLUP_WATERMARK"))
	if err != nil || time.Since(watermark) > time.Hour {
		t.Errorf("MULTICA_ROLLUP_WATERMARK is %q, want a time minutes ago (%v)", e.get("MULTICA_ROLLUP_WATERMARK"), err)
	}
	for _, field := range []string{"MULTICA_ROLLUP_LAG_SECONDS", "MULTICA_ROLLUP_DURATION_MS"} {
		if _, err := strconv.ParseFloat(e.get(field), 64); err != nil {
			t.Errorf("%s is %q, want a number", field, e.get(field))
		}
	}
	// The schema here is the lab's, whose functions the agent does not know.
	for field, want := range map[string]string{
		"MULTICA_ROLLUP_ENGINE": "function",
		"_TRANSPORT":            "journal",
		"_SYSTEMD_UNIT":         service,
		"SYSLOG_IDENTIFIER":     "multica-rollup",
		"_UID":                  h.must(t, "id -u multica-rollup"),
	} {
		if got := e.get(field); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	explained := h.must(t, "journalctl -q --no-pager -x -u "+service+" MESSAGE_ID="+e.get("MESSAGE_ID"))
	if !strings.Contains(explained, "Subject: ") {
		t.Errorf("the catalog does not explain the entry:\n%s", explained)
	}
}

func showsStatus(t *testing.T, h *host) {
	result := h.try(t, "systemctl status --no-pager --full "+service) // 3: inactive
	if !strings.Contains(result.Stdout, `Status: "rolled up to `) {
		t.Errorf("systemctl status has no result in it (exit code %d):\n%s", result.Exit, result.Stdout)
	}
}

func reachesOtherAddress(t *testing.T, h *host) {
	h.must(t, `ip address add 10.77.0.5/32 dev lo
		cd /etc/postgresql/*/main
		echo "listen_addresses = '*'
log_connections = on" >>postgresql.conf
		echo 'host multica multica-rollup 10.77.0.0/16 scram-sha-256' >>pg_hba.conf`)
	// By a file: the journal keeps the command line of whoever writes to it.
	h.file(t, "/srv/password.sql", `ALTER ROLE "multica-rollup" PASSWORD '`+password+`'`)
	h.must(t, "chown postgres /srv/password.sql; cd /; runuser -u postgres -- psql -qXd multica -f /srv/password.sql; rm /srv/password.sql")
	h.must(t, "systemctl restart 'postgresql@*-main.service'")
	h.configure(t, tcpDSN, `engine = "set"`)
	damage(t, h)
	cursor := h.cursor(t)
	h.must(t, "systemctl start "+service)
	finished := having(h.journal(t, service, cursor), journal.RunFinished.UUID())
	if len(finished) != 1 || finished[0].get("MULTICA_ROLLUP_ENGINE") != "set" {
		t.Errorf("want one run by the set engine:\n%s", show(h.journal(t, service, cursor)))
	}
	h.must(t, `grep -q 'connection received: host=10.77.0.5' /var/log/postgresql/*.log`)
	wantOracle(t, h)
}

// damage queues every key as an invalidation after making its hourly row wrong, so that a run has
// something to mend.
func damage(t *testing.T, h *host) {
	sql(t, h, `UPDATE task_usage_hourly SET input_tokens = input_tokens + 1;
		INSERT INTO task_usage_hourly_dirty (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
		SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model FROM task_usage_hourly`)
}

func sharesIdentity(t *testing.T, h *host) {
	for range 2 {
		damage(t, h)
		h.must(t, "multica-rollup run")
		wantOracle(t, h)
		h.must(t, "multica-rollup config check")
		h.must(t, "sudo multica-rollup run")
		damage(t, h)
		h.must(t, "systemctl start "+service)
		wantOracle(t, h)
	}
	h.must(t, "test -n \"$(ls -A "+stateDir+")\"")
	h.want(t, "find "+stateDir+" ! -user multica-rollup", "")
}

func upgrades(t *testing.T, h *host) {
	edited := h.must(t, "cat "+configFile)
	deb := h.bring(t, newVariable, "*_amd64.deb")
	h.must(t, "apt-get install -y "+deb+" </dev/null")
	if version := h.must(t, "multica-rollup version"); !strings.Contains(version, "0.0.2") {
		t.Errorf("version prints %q, want the new package's", version)
	}
	if now := h.must(t, "cat "+configFile); now != edited {
		t.Errorf("the configuration has become:\n%s", now)
	}
	h.want(t, "stat -c '%a %U:%G' "+configFile, "600 root:root")
	h.want(t, "systemctl is-enabled "+timer, "enabled")
	h.want(t, "systemctl is-active "+timer, "active")
	h.must(t, "systemctl start "+service)
	wantOracle(t, h)
}

func keepsPasswordSecret(t *testing.T, h *host) {
	h.configure(t, tcpDSN, `engine = "set"`)
	h.file(t, "/root/secret", password) // not an argument: it would find itself
	damage(t, h)
	h.must(t, `systemctl start --no-block `+service+`
		for _ in $(seq 100); do
			grep -lasf /root/secret /proc/[0-9]*/cmdline /proc/[0-9]*/environ && exit 1
		done
		systemctl start `+service)
	h.must(t, "! journalctl --no-pager -o export | grep -aqf /root/secret")
	h.must(t, "! multica-rollup config show 2>&1 | grep -qf /root/secret")
	h.must(t, "! grep -rqf /root/secret "+stateDir)
	h.must(t, "! systemctl show '*' | grep -qf /root/secret")
	wantOracle(t, h)
}

func isRemoved(t *testing.T, h *host) {
	h.must(t, "apt-get remove -y multica-rollup")
	h.want(t, "systemctl is-active "+timer+" "+service+" | sort -u", "inactive")
	h.want(t, "systemctl --failed --no-legend --plain", "")
	h.want(t, "systemctl list-unit-files --no-legend 'multica-rollup*'", "")
	h.must(t, "test -e "+configFile+" && test -d "+stateDir)
}

// comesBack installs the package after its removal: what was enabled runs again, what was not does not.
func comesBack(t *testing.T, h *host) {
	edited := h.must(t, "cat "+configFile)
	h.must(t, "apt-get install -y "+h.bring(t, newVariable, "*_amd64.deb")+" </dev/null")
	if now := h.must(t, "cat "+configFile); now != edited {
		t.Errorf("the configuration has become:\n%s", now)
	}
	h.want(t, "systemctl is-enabled "+timer+"; systemctl is-active "+timer, "enabled\nactive")
	h.want(t, "systemctl is-active "+verifyTimer, "inactive")
	h.until(t, "systemctl show --value -p ExecMainExitTimestamp "+service+" | grep -q . && ! systemctl is-active --quiet "+service)
	h.want(t, "systemctl --failed --no-legend --plain", "")
	h.want(t, "ls /run/multica-rollup.reinstalled 2>/dev/null", "")

	h.must(t, "systemctl stop "+timer) // which is not to be started again by an upgrade
	h.must(t, "apt-get install -y --reinstall "+h.bring(t, newVariable, "*_amd64.deb")+" </dev/null")
	h.want(t, "systemctl is-active "+timer, "inactive")
}

func isPurged(t *testing.T, h *host, before []string) {
	h.must(t, "apt-get purge -y multica-rollup")
	h.must(t, "id multica-rollup")
	var left []string
	for _, file := range listFiles(t, h) {
		if _, was := slices.BinarySearch(before, file); !was {
			left = append(left, file)
		}
	}
	if len(left) > 0 {
		t.Errorf("the package left behind:\n%s", strings.Join(left, "\n"))
	}
}

// listFiles lists the host's files, sorted, without what lives on its own: the kernel's and volatile
// file systems, caches, logs, the databases of PostgreSQL and dpkg, the tests' own files, and the
// backups that adding a user makes.
func listFiles(t *testing.T, h *host) []string {
	t.Helper()
	files := strings.Split(h.must(t, `find / -xdev \( -path /root -o -path /srv -o -path /var/log -o -path /var/cache \
		-o -path /var/lib/postgresql -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /tmp -o -path /var/tmp \
		-o -path /run -o -path /usr/local/bin -o -name '*.pwd.lock' \) -prune \
		-o ! -path '/etc/*-' -print | LC_ALL=C sort`), "\n")
	slices.Sort(files)
	return files
}
