package lab_test

import (
	"context"
	"errors"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

func TestAnInterruptedUpgradeGoesOnOnceHistoryIsRolledUp(t *testing.T) {
	ctx := context.Background()
	db := labtest.New(t, lab.GenInterrupted)
	seed(t, db.Conn, lab.Typical(2, 100))
	var refusal *lab.GuardRefusal
	if err := lab.Upgrade(ctx, db.Conn, lab.GenInterrupted, lab.Gen272); !errors.As(err, &refusal) {
		t.Fatalf("the upgrade gives %v, want the guard's refusal", err)
	}
	if !get[bool](t, db.Conn, "SELECT to_regclass('task_usage_daily') IS NOT NULL AND to_regclass('sys_cron_executions') IS NULL") {
		t.Error("a refused upgrade left something done")
	}
	if err := lab.RollUp(ctx, db.Conn); err != nil {
		t.Fatal(err)
	}
	if err := lab.Upgrade(ctx, db.Conn, lab.GenInterrupted, lab.Gen272); err != nil {
		t.Fatal(err)
	}
	if !get[bool](t, db.Conn, "SELECT to_regclass('task_usage_daily') IS NULL AND EXISTS (SELECT 1 FROM schema_migrations WHERE version LIKE '272%')") {
		t.Error("the upgrade did not go through")
	}
}

func TestAfterTheUpgradeToCostsOldBucketsAreOnlyNotRecomputed(t *testing.T) {
	ctx := context.Background()
	db := labtest.New(t, lab.Gen102)
	seed(t, db.Conn, lab.Typical(2, 100))
	if err := lab.RollUp(ctx, db.Conn); err != nil {
		t.Fatal(err)
	}
	if err := lab.Upgrade(ctx, db.Conn, lab.Gen102, lab.Gen213); err != nil {
		t.Fatal(err)
	}
	diffs := differences(t, db.Conn)
	if len(diffs) == 0 {
		t.Fatal("no difference, want every bucket's uncosted sums to be NULL")
	}
	for _, d := range diffs {
		if !d.NotRecomputed() {
			t.Fatalf("want buckets that are only not recomputed, got %s", d)
		}
	}
	run(t, db.Conn, "UPDATE task_usage_hourly SET input_tokens = input_tokens + 1")
	for _, d := range differences(t, db.Conn) {
		if d.NotRecomputed() {
			t.Fatalf("a wrong bucket passes as not recomputed: %s", d)
		}
	}
	run(t, db.Conn, wholeWindow)
	wantNoDifference(t, db.Conn)
	if err := lab.Upgrade(ctx, db.Conn, lab.Gen272, lab.Gen213); err == nil {
		t.Error("an upgrade to an earlier generation was taken")
	}
}
