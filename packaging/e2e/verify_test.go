//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/journal"
)

const (
	verifyService = "multica-rollup-verify.service"
	verifyTimer   = "multica-rollup-verify.timer"
)

// recountsByTimer has the weekly recount come due while the host was away, with a wrong hour to find.
func recountsByTimer(t *testing.T, h *host) {
	h.want(t, "systemctl is-enabled "+verifyTimer, "disabled")
	h.configure(t, socketDSN, `engine = "set"`)
	h.must(t, "systemctl enable --now "+verifyTimer)
	if next := h.property(t, verifyTimer, "NextElapseUSecRealtime"); !strings.HasPrefix(next, "Sun ") && !strings.HasPrefix(next, "Mon ") {
		t.Errorf("the next recount is at %q, want a night of Sunday", next)
	}
	h.must(t, "systemctl start "+service)
	cursor := h.cursor(t)
	h.must(t, "systemctl start "+verifyService)
	if clean := having(h.journal(t, verifyService, cursor), journal.VerifyClean.UUID()); len(clean) != 1 {
		t.Errorf("want one entry of a clean recount:\n%s", show(h.journal(t, verifyService, cursor)))
	}

	// A row wrong by one, of which no trigger knows.
	sql(t, h, `UPDATE task_usage_hourly SET input_tokens = input_tokens + 1
		WHERE ctid = (SELECT ctid FROM task_usage_hourly ORDER BY bucket_hour LIMIT 1)`)
	// The timer remembers when it elapsed last: three weeks ago, as far as it knows.
	h.must(t, "systemctl stop "+verifyTimer+"; touch -d '3 weeks ago' /var/lib/systemd/timers/stamp-"+verifyTimer)
	// Overdue is spread over an hour as well, for which no test waits.
	dropIn := "/etc/systemd/system/" + verifyTimer + ".d/now.conf"
	h.file(t, dropIn, "[Timer]\nRandomizedDelaySec=0\n")
	cursor = h.cursor(t)
	h.must(t, "systemctl daemon-reload; systemctl start "+verifyTimer)
	h.until(t, "systemctl is-failed --quiet "+verifyService)
	drift := having(h.journal(t, verifyService, cursor), journal.VerifyDrift.UUID())
	if len(drift) != 1 {
		t.Fatalf("want one entry about drift:\n%s", show(h.journal(t, verifyService, cursor)))
	}
	if hint := drift[0].get("MULTICA_ROLLUP_HINT"); !strings.Contains(hint, "verify --repair") {
		t.Errorf("the entry does not say what to do: %q", hint)
	}
	if oracle(t, h).Exit == 0 {
		t.Error("the recount has changed something")
	}

	h.must(t, "sudo multica-rollup verify --repair")
	h.must(t, "systemctl start "+verifyService)
	wantOracle(t, h)
	h.must(t, "rm -r $(dirname "+dropIn+"); systemctl daemon-reload; systemctl disable --now "+verifyTimer)
	h.want(t, "systemctl --failed --no-legend --plain", "")
}
