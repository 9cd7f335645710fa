//go:build e2e

package e2e

import (
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/journal"
)

// resumesAfterReboot brings in history from behind the watermark, which only a backfill finds, and
// reboots in the midst of one.
func resumesAfterReboot(t *testing.T, h *host) {
	h.configure(t, socketDSN, `engine = "set"`)
	// Several slices' worth of rows.
	h.must(t, `cd /; runuser -u postgres -- multica-lab seed --shape dense --dsn '`+ownersDSN+`' --seed 2 --tasks 60000`)
	// So slow that a reboot finds it at work, then as fast as it can.
	slow := "/etc/systemd/system/" + backfill + ".d/slow.conf"
	h.file(t, slow, "[Service]\nEnvironment=MULTICA_ROLLUP_BACKFILL_SLEEP_BETWEEN_SLICES=5s\n")
	h.must(t, "systemctl daemon-reload; systemctl start "+backfill)
	h.want(t, "systemctl is-active "+backfill, "active")
	h.until(t, "find "+stateDir+" -name '*.backfill.json' | grep -q .")
	h.until(t, "systemctl status "+backfill+" | grep -q 'Status: .*%'")
	h.must(t, "rm -r $(dirname "+slow+")")
	if oracle(t, h).Exit == 0 {
		t.Fatal("the backfill has ended before the reboot")
	}
	if err := h.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.must(t, "ip address add 10.77.0.5/32 dev lo")
	h.until(t, "journalctl -q --no-pager -b -u "+backfill+" MESSAGE_ID="+journal.BackfillFinished.UUID()+" | grep -q .")
	wantOracle(t, h)
	h.want(t, "find "+stateDir+" -name '*.backfill.json'", "")
	h.want(t, "systemctl --failed --no-legend --plain", "")
	h.want(t, "systemctl is-active "+timer, "active")
}
