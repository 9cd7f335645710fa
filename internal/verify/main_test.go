package verify_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/state"
	"github.com/multica-rollup/multica-rollup/internal/verify"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// generations are those that have an hourly table.
var generations = []lab.Generation{lab.Gen102, lab.Gen213, lab.Gen272, lab.GenInterrupted}

// rolledUp returns a database with a history that is rolled up in full.
func rolledUp(t testing.TB, gen lab.Generation, shape lab.Shape) *labtest.DB {
	t.Helper()
	db := labtest.New(t, gen)
	if _, err := lab.Seed(t.Context(), db.Conn, shape); err != nil {
		t.Fatalf("seeding: %v", err)
	}
	if err := lab.RollUp(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	return db
}

// options are those of a test's installation.
func options(t testing.TB) verify.Options {
	return verify.Options{
		Engine: "set", Known: pipeline.Shipped(), Walk: config.Defaults().Walk, StateDir: t.TempDir(),
		List: 10, Pause: 10 * time.Millisecond, Reconnect: 10 * time.Second, LockPatience: 10 * time.Second,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

func connector(t testing.TB, dsn string) *pg.Connector {
	t.Helper()
	c, err := pg.NewConnector(dsn, "multica-rollup/test")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recount makes a recount that must be possible.
func recount(t testing.TB, dsn string, o verify.Options) *verify.Report {
	t.Helper()
	v := verify.New(connector(t, dsn), o)
	defer v.Close(context.Background())
	r, err := v.Verify(context.Background())
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	return r
}

func exec(t testing.TB, conn *pgx.Conn, sql string, args ...any) int64 {
	t.Helper()
	tag, err := conn.Exec(context.Background(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return tag.RowsAffected()
}

func get[T any](t testing.TB, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// exact demands that the hourly table is what the raw rows say.
func exact(t testing.TB, conn *pgx.Conn) {
	t.Helper()
	diffs, err := lab.Oracle(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if len(diffs) > 0 {
		t.Fatalf("%d hourly rows differ from the raw usage, the first: %s", len(diffs), diffs[0])
	}
}

// remembered opens the memory that an installation with these options keeps of a database.
func remembered(t testing.TB, db *labtest.DB, o verify.Options) *state.Store {
	t.Helper()
	cluster := get[string](t, db.Conn, "select system_identifier::text from pg_control_system()")
	store, err := state.Open(o.StateDir, state.Key(cluster, "", db.Name), db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	return store
}
