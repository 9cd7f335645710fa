package usage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/usage"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// The things of the tests' database. gone has no agent, project or runtime row.
const (
	acme  = "00000000-0000-0000-0000-00000000ac3e"
	other = "00000000-0000-0000-0000-0000000007e2"

	backend = "00000000-0000-0000-0000-0000000000a1"
	ui      = "00000000-0000-0000-0000-0000000000a2"
	builder = "00000000-0000-0000-0000-0000000000a3" // Multica's own
	old     = "00000000-0000-0000-0000-0000000000a4" // archived
	foreign = "00000000-0000-0000-0000-0000000000a5" // of the other workspace
	gone    = "00000000-0000-0000-0000-0000000000ff"
	gone2   = "00000000-0000-0000-0000-0000000000fe"

	site = "00000000-0000-0000-0000-0000000000b1"
	box  = "00000000-0000-0000-0000-0000000000c1"
)

// newDB returns a database with two workspaces, agents of each kind, a project and a runtime.
func newDB(t testing.TB, gen lab.Generation) *labtest.DB {
	t.Helper()
	db := labtest.New(t, gen)
	for _, sql := range []string{
		"alter table agent add column if not exists kind text not null default 'user', add column if not exists archived_at timestamptz",
		"insert into workspace (id, name, slug) values ('" + acme + "', 'Acme Inc', 'acme'), ('" + other + "', 'Other', 'other')",
		"insert into agent (id, workspace_id, name) values ('" + backend + "', '" + acme + "', 'backend'), ('" + ui + "', '" + acme + "', '=ui'), ('" + foreign + "', '" + other + "', 'backend')",
		"insert into agent (id, workspace_id, name, kind) values ('" + builder + "', '" + acme + "', 'builder', 'system')",
		"insert into agent (id, workspace_id, name, archived_at) values ('" + old + "', '" + acme + "', 'old', now())",
		"insert into project (id, workspace_id, title) values ('" + site + "', '" + acme + "', 'site')",
		"insert into agent_runtime (id, workspace_id, name) values ('" + box + "', '" + acme + "', 'box')",
	} {
		exec(t, db.Conn, sql)
	}
	return db
}

// hour is one hourly row of the tests; what is empty has a default.
type hour struct {
	at                                 string // a timestamptz
	workspace, agent, project, runtime string
	provider, model                    string
	in, out, read, write               int64
}

func add(t testing.TB, db *labtest.DB, rows ...hour) {
	t.Helper()
	or := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	for _, h := range rows {
		var project *string
		if h.project != "" {
			project = &h.project
		}
		exec(t, db.Conn, `insert into task_usage_hourly (bucket_hour, workspace_id, agent_id, project_id, runtime_id, provider, model,
			input_tokens, output_tokens, cache_read_tokens, cache_write_tokens) values ($1::text::timestamptz, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			h.at, or(h.workspace, acme), or(h.agent, backend), project, or(h.runtime, box), or(h.provider, "claude"), or(h.model, "opus"), h.in, h.out, h.read, h.write)
	}
}

func exec(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// read answers a query as role, or as the superuser for "".
func read(t testing.TB, db *labtest.DB, role string, q usage.Query) (*usage.Report, error) {
	t.Helper()
	dsn := db.DSN
	if role != "" {
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		dsn = "host=" + config.Host + " port=" + itoa(config.Port) + " dbname=" + db.Name + " user=" + role
	}
	connector, err := pg.NewConnector(dsn, "multica-rollup/test")
	if err != nil {
		t.Fatal(err)
	}
	if q.Timezone == "" {
		q.Timezone = "UTC"
	}
	if q.By == nil {
		q.By = []usage.Dimension{usage.Agent}
	}
	if q.When == (usage.When{}) {
		q.When = usage.When{Since: "2026-01-01", Until: "2026-12-31"}
	}
	return usage.Read(context.Background(), usage.Options{Connector: connector, Known: pipeline.Shipped(), StatementTimeout: time.Minute}, q)
}

func itoa(n uint16) string { b, _ := json.Marshal(n); return string(b) }

// must is read as the superuser, which has to work.
func must(t testing.TB, db *labtest.DB, q usage.Query) *usage.Report {
	t.Helper()
	r, err := read(t, db, "", q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return r
}

func table(t testing.TB, r *usage.Report, limit int, ids bool) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteTable(&b, report.Style{}, limit, ids); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func csvText(t testing.TB, r *usage.Report, limit int) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteCSV(&b, limit); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
