package rollup_test

import (
	"context"
	"log/slog"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// engines are the configurations that every behaviour is tested with.
var engines = []string{"set", "function"}

// agent is an installation of the program beside a lab's database.
type agent struct {
	t    testing.TB
	db   *labtest.DB
	dsn  string
	opts rollup.Options
}

// as has the agent log in as another role.
func (a *agent) as(role string) {
	a.t.Helper()
	u, err := url.Parse(a.dsn)
	if err != nil {
		a.t.Fatal(err)
	}
	u.User = url.User(role)
	a.dsn = u.String()
}

func newAgent(t testing.TB, db *labtest.DB, engine string) *agent {
	t.Helper()
	return &agent{t: t, db: db, dsn: db.DSN, opts: rollup.Options{
		Command: "run", Engine: engine, Known: pipeline.Shipped(), Walk: config.Defaults().Walk,
		Reconnect: labtest.Guard, LockPatience: labtest.Guard, StateDir: t.TempDir(),
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})),
	}}
}

// walker opens a walker, closed when the test ends.
func (a *agent) walker() *rollup.Walker {
	a.t.Helper()
	connector, err := pg.NewConnector(a.dsn, "multica-rollup/test")
	if err != nil {
		a.t.Fatal(err)
	}
	w := rollup.New(connector, a.opts)
	if err := w.Open(context.Background()); err != nil {
		a.t.Fatalf("opening: %v", err)
	}
	a.t.Cleanup(func() { w.Close(context.Background()) })
	return w
}

// run makes one tick that must end well.
func (a *agent) run() *report.State {
	a.t.Helper()
	w := a.walker()
	defer w.Close(context.Background())
	if err := w.Run(context.Background()); err != nil {
		a.t.Fatalf("run: %v", err)
	}
	return w.State()
}

func seed(t testing.TB, conn *pgx.Conn, shape lab.Shape) {
	t.Helper()
	if _, err := lab.Seed(context.Background(), conn, shape); err != nil {
		t.Fatalf("seeding: %v", err)
	}
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
	for i, d := range diffs {
		if i == 5 {
			break
		}
		t.Log(d)
	}
	if len(diffs) > 0 {
		t.Fatalf("%d hourly rows differ from the raw usage", len(diffs))
	}
}
