//go:build e2e

package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/journal"
)

// resumesAfterReboot damages all history behind the watermark, which only a backfill mends, and
// reboots in the midst of one.
func resumesAfterReboot(t *testing.T, h *host) {
	h.configure(t, socketDSN, `engine = "set"`)
	sql(t, h, `UPDATE task_usage_hourly SET input_tokens = input_tokens + 1`)
	// So slow that a reboot finds it at work, then as fast as it can.
	h.must(t, `mkdir -p /etc/systemd/system/`+backfill+`.d
		printf '[Service]\nEnvironment=MULTICA_ROLLUP_BACKFILL_SLEEP_BETWEEN_SLICES=2s\n' \
			>/etc/systemd/system/`+backfill+`.d/slow.conf
		systemctl daemon-reload`)
	h.must(t, "systemctl start "+backfill)
	h.want(t, "systemctl is-active "+backfill, "active")
	h.until(t, 30*time.Second, "test -n \"$(find "+stateDir+" -name '*.backfill.json')\"")
	h.must(t, "rm -r /etc/systemd/system/"+backfill+".d")
	if err := h.Reboot(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	h.must(t, "ip address add 10.77.0.5/32 dev lo")
	h.until(t, 60*time.Second, "journalctl -q --no-pager -b -u "+backfill+" MESSAGE_ID="+journal.BackfillFinished.UUID()+" | grep -q .")
	wantOracle(t, h)
	h.want(t, "find "+stateDir+" -name '*.backfill.json'", "")
	h.want(t, "systemctl --failed --no-legend --plain", "")
	h.want(t, "systemctl is-active "+timer, "active")
}
