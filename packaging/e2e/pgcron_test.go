//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestPgcron has pg_cron roll up: with its default settings on one suite, where it keeps its jobs in
// the database postgres, and in Multica's own database on the other.
func TestPgcron(t *testing.T) {
	for suite, database := range map[string]string{"bookworm": "multica", "trixie": "postgres"} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			h, c := boot(t, suite), cron{database}
			steps(t, h, []step{
				{"tells the administrator what pg_cron needs", c.isSetUp},
				{"refuses to be a second scheduler", c.refusesSecond},
				{"schedules one job in the right database", c.schedules},
				{"rolls up when the time comes", c.runs},
				{"is removed without a trace", c.isRemoved},
			})
		})
	}
}

// cron is a server's pg_cron, which keeps its jobs in one database.
type cron struct{ database string }

// sql runs one statement as a superuser where pg_cron keeps its jobs.
func (c cron) sql(t *testing.T, h *host, statement string) string {
	t.Helper()
	return h.must(t, "cd /; runuser -u postgres -- psql -qXAtv ON_ERROR_STOP=1 -d "+c.database+" -c "+quote(statement))
}

// wantJobs compares all jobs that pg_cron has.
func (c cron) wantJobs(t *testing.T, h *host, want string) {
	t.Helper()
	if got := c.sql(t, h, "SELECT jobname, schedule, command, database, username, active FROM cron.job"); got != want {
		t.Errorf("pg_cron's jobs are %q, want %q", got, want)
	}
}

const theJob = "multica-rollup|*/5 * * * *|select rollup_task_usage_hourly()|multica|multica-rollup|t"

// refuses runs pgcron install, which has to end with the code, and returns its hint.
func refuses(t *testing.T, h *host, code int) string {
	t.Helper()
	result := h.try(t, "sudo multica-rollup pgcron install")
	_, hint, hinted := strings.Cut(result.Stderr, "hint: ")
	if result.Exit != code || !hinted {
		t.Fatalf("pgcron install ends with %d, want %d and a hint:\n%s%s", result.Exit, code, result.Stdout, result.Stderr)
	}
	return strings.TrimSpace(hint)
}

func (c cron) isSetUp(t *testing.T, h *host) {
	h.must(t, "apt-get install -y "+h.bring(t, newVariable, "*_amd64.deb"))
	makeMultica(t, h)
	h.configure(t, socketDSN)
	h.must(t, "sudo multica-rollup run")
	wantOracle(t, h)

	// What takes a superuser is told as SQL; it is run as told.
	sql(t, h, refuses(t, h, 77)) // to be shown the settings of pg_cron
	// Debian installs the extension and leaves loading it to the administrator.
	if hint := refuses(t, h, 78); !strings.Contains(hint, "shared_preload_libraries = 'pg_cron'") {
		t.Errorf("the hint does not name the setting: %s", hint)
	}
	h.must(t, `cat >"$(echo /etc/postgresql/*/main/conf.d)/cron.conf" <<-END
		shared_preload_libraries = 'pg_cron'
		cron.database_name = '`+c.database+`'
		cron.use_background_workers = on
		END
		systemctl restart 'postgresql@*-main.service'`)

	hint := refuses(t, h, 77)
	_, statements, told := strings.Cut(hint, "as a superuser, in database "+c.database+": ")
	if !told {
		t.Fatalf("the hint names no statements for database %s: %s", c.database, hint)
	}
	c.sql(t, h, statements)
	c.wantJobs(t, h, "")
}

func (c cron) refusesSecond(t *testing.T, h *host) {
	h.must(t, "systemctl enable "+timer)
	if hint := refuses(t, h, 1); !strings.Contains(hint, "systemctl disable --now "+timer) {
		t.Errorf("the hint does not say how to end the other: %s", hint)
	}
	c.wantJobs(t, h, "")
	h.must(t, "sudo multica-rollup pgcron install --allow-second")
	c.wantJobs(t, h, theJob)
	h.must(t, "systemctl disable "+timer+"; sudo multica-rollup pgcron remove")
	c.wantJobs(t, h, "")
}

func (c cron) schedules(t *testing.T, h *host) {
	// pg_cron has had a job, and shows the role its own alone: a superuser has to look, as told.
	hint := refuses(t, h, 77)
	_, told, _ := strings.Cut(hint, "as a superuser, in database "+c.database+": ")
	look, install, whole := strings.Cut(told, "; where that shows no job: ")
	if !whole {
		t.Fatalf("the hint tells neither how to look nor what to do then: %s", hint)
	}
	if jobs := c.sql(t, h, look); jobs != "" {
		t.Fatalf("the statement of the hint shows %s", jobs)
	}
	h.must(t, "sudo "+install)
	c.wantJobs(t, h, theJob)
	id := c.sql(t, h, "SELECT jobid FROM cron.job")
	if said := h.must(t, "sudo multica-rollup pgcron install"); !strings.HasPrefix(said, "nothing to do: ") {
		t.Errorf("installing it again prints %q", said)
	}
	if now := c.sql(t, h, "SELECT jobid FROM cron.job"); now != id {
		t.Errorf("installing it again makes job %s of job %s", now, id)
	}
	// Its first run may come at any moment: every fifth minute.
	said := h.must(t, "sudo multica-rollup pgcron status")
	if !strings.Contains(said, "no run yet") && c.sql(t, h, "SELECT count(*) FROM cron.job_run_details WHERE jobid = "+id) == "0" {
		t.Errorf("before its first run status prints:\n%s", said)
	}
}

func (c cron) runs(t *testing.T, h *host) {
	damage(t, h)
	// The database's function leaves what was queued in the last five minutes for later.
	sql(t, h, "UPDATE task_usage_hourly_dirty SET enqueued_at = now() - interval '1 hour'")
	// A run of before, at a fifth minute, is not the one to wait for.
	c.sql(t, h, "DELETE FROM cron.job_run_details")
	// The administrator is in a hurry.
	c.sql(t, h, "SELECT cron.alter_job(jobid, schedule := '* * * * *') FROM cron.job")
	h.until(t, "sudo multica-rollup pgcron status | grep -q ' succeeded in '")
	wantOracle(t, h)
	var status struct {
		Job  struct{ Database, User string }
		Runs []struct {
			Status  string
			Started time.Time
		}
	}
	if err := json.Unmarshal([]byte(h.must(t, "sudo multica-rollup pgcron status --json")), &status); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(status.Job.User, "@", status.Job.Database); got != "multica-rollup@multica" {
		t.Errorf("status shows the job of %s", got)
	}
	if len(status.Runs) == 0 || time.Since(status.Runs[0].Started) > 10*time.Minute {
		t.Errorf("status shows the runs %v, want one of just now", status.Runs)
	}
	wantFindings(t, h, "fingerprints: warning")
	// Calling install again puts right what has been changed.
	h.must(t, "sudo multica-rollup pgcron install")
	c.wantJobs(t, h, theJob)
}

func (c cron) isRemoved(t *testing.T, h *host) {
	h.must(t, "sudo multica-rollup pgcron remove")
	c.wantJobs(t, h, "")
	if said := h.must(t, "sudo multica-rollup pgcron status"); !strings.Contains(said, "job: none") {
		t.Errorf("after its removal status prints:\n%s", said)
	}
	if said := h.must(t, "sudo multica-rollup pgcron remove"); !strings.HasPrefix(said, "nothing to do: ") {
		t.Errorf("removing it again prints %q", said)
	}
}
