package pipeline_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
)

func readGuard(t *testing.T, conn *pgx.Conn) pipeline.Guard {
	t.Helper()
	p, err := pipeline.Inspect(t.Context(), conn, pipeline.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	g, err := pipeline.ReadGuard(t.Context(), conn, p)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func exec(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// TestTheVerdictIsTheMigrations moves the watermark and the events about the
// limit and compares with the migration's own guard, run for real.
func TestTheVerdictIsTheMigrations(t *testing.T) {
	db := labtest.New(t, lab.GenInterrupted)
	agree := func(name string, want bool) {
		t.Helper()
		_, refused := errors.AsType[*lab.GuardRefusal](lab.GuardVerdict(t.Context(), db.Conn))
		g := readGuard(t, db.Conn)
		if g.Pass == refused || g.Pass != want || !g.Pending() {
			t.Errorf("%s: pass is %t and the migration refuses is %t, want pass %t; %+v", name, g.Pass, refused, want, g)
		}
	}
	agree("no usage", true)
	if _, err := lab.Seed(t.Context(), db.Conn, lab.Shape{Seed: 1, Tasks: 200, NoUpdatedAt: 0.5, Corrections: 0.2}); err != nil {
		t.Fatal(err)
	}
	agree("watermark at the epoch", false)
	var newest time.Time
	if err := db.Conn.QueryRow(t.Context(), "select max(coalesce(updated_at, created_at)) from task_usage").Scan(&newest); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		trails time.Duration
		want   bool
	}{
		{"at the newest event", 0, true},
		{"an hour behind", time.Hour, true},
		{"an hour and a microsecond behind", time.Hour + time.Microsecond, false},
		{"ahead", -time.Minute, true},
		{"59 minutes behind", 59 * time.Minute, true},
	} {
		exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = $1", newest.Add(-c.trails))
		agree(c.name, c.want)
		if g := readGuard(t, db.Conn); g.Trails() != c.trails {
			t.Errorf("%s: it is said to trail by %s, want %s", c.name, g.Trails(), c.trails)
		}
	}
	exec(t, db.Conn, "update task_usage set created_at = updated_at, updated_at = null where updated_at = $1", newest)
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = $1", newest.Add(-time.Hour-time.Microsecond))
	agree("the newest event is one without updated_at", false)
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = 'infinity'")
	agree("an infinite watermark", true)
	exec(t, db.Conn, "delete from task_usage_hourly_rollup_state")
	agree("no state row", false)
}

func TestOnceTheMigrationIsAppliedThereIsNothingToPass(t *testing.T) {
	db := labtest.New(t, lab.Gen102)
	if _, err := lab.Seed(t.Context(), db.Conn, lab.Shape{Seed: 1, Tasks: 50}); err != nil {
		t.Fatal(err)
	}
	if g := readGuard(t, db.Conn); !g.Applied || !g.Pass {
		t.Errorf("got %+v, want applied", g)
	}
	exec(t, db.Conn, "drop table schema_migrations")
	if g := readGuard(t, db.Conn); !g.Applied {
		t.Errorf("without schema_migrations: got %+v, want applied, since the legacy tables are gone", g)
	}
}

func TestBeforeTheHourlyTablesUsageMakesItRefuse(t *testing.T) {
	db := labtest.New(t, lab.Gen097)
	if g := readGuard(t, db.Conn); !g.Pass || !g.NoTables {
		t.Errorf("without usage: got %+v, want pass", g)
	}
	if _, err := lab.Seed(t.Context(), db.Conn, lab.Shape{Seed: 1, Tasks: 50}); err != nil {
		t.Fatal(err)
	}
	if g := readGuard(t, db.Conn); g.Pass || g.Applied || g.Newest.IsZero() {
		t.Errorf("with usage: got %+v, want a refusal", g)
	}
}
