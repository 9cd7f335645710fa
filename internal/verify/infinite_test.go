package verify_test

import (
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/verify"
)

func TestAnInfiniteWatermarkDoesNotEndTheRecount(t *testing.T) {
	db := rolledUp(t, lab.Gen272, lab.Typical(61, 200))
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = 'infinity'")
	if r := recount(t, db.DSN, options(t)); r.Verdict != verify.Clean {
		t.Errorf("verdict %q, want %q", r.Verdict, verify.Clean)
	}
}
