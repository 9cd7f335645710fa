package lab_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// hourly are the generations that have the hourly pipeline.
func hourly() []lab.Generation {
	return []lab.Generation{lab.GenInterrupted, lab.Gen102, lab.Gen213, lab.Gen272}
}

// run runs SQL that must work.
func run(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// get returns the one value that a query gives.
func get[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// seed writes a history that must work.
func seed(t *testing.T, conn *pgx.Conn, shape lab.Shape) lab.Seeded {
	t.Helper()
	done, err := lab.Seed(context.Background(), conn, shape)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// differences asks the oracle.
func differences(t *testing.T, conn *pgx.Conn) []lab.Diff {
	t.Helper()
	diffs, err := lab.Oracle(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return diffs
}

// aside asks what the oracle leaves aside.
func aside(t *testing.T, conn *pgx.Conn) lab.Aside {
	t.Helper()
	a, err := lab.SetAside(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// wantNoDifference fails the test where the oracle finds any.
func wantNoDifference(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	if diffs := differences(t, conn); len(diffs) > 0 {
		t.Errorf("%d differences, the first: %s", len(diffs), diffs[0])
	}
}
