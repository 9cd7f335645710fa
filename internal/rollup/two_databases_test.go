package rollup_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// named makes a database of a name of its own on the tests' server.
func named(t *testing.T, name string) *labtest.DB {
	t.Helper()
	server := labtest.Server(t)
	if err := server.CreateDatabase(t.Context(), name, lab.Gen272); err != nil {
		t.Fatal(err)
	}
	db := &labtest.DB{Name: name, DSN: server.DSN(name), Server: server}
	t.Cleanup(func() {
		if err := server.DropDatabase(context.Background(), name); err != nil {
			t.Error(err)
		}
	})
	db.Conn = db.Connect(t)
	return db
}

// use has one more usage row for each of some tasks, written now.
func use(t testing.TB, conn *pgx.Conn, model string) {
	t.Helper()
	exec(t, conn, `insert into task_usage (task_id, provider, model, input_tokens)
		select id, 'lab', $1, 7 from agent_task_queue where runtime_id is not null order by id limit 50`, model)
}

// TestTwoDatabasesWithNamesThatReadAlikeRememberApart: one state directory, and
// names of which a file's keeps nothing.
func TestTwoDatabasesWithNamesThatReadAlikeRememberApart(t *testing.T) {
	first, second := named(t, "租户一"), named(t, "租户二")
	one, two := newAgent(t, first, "set").atOnce(), newAgent(t, second, "set").atOnce()
	two.opts.StateDir = one.opts.StateDir
	for _, db := range []*labtest.DB{first, second} {
		seed(t, db.Conn, lab.Typical(61, 100))
	}
	one.run()
	use(t, first.Conn, "unseen")
	two.run() // the second's memory says that all until now is rolled up
	exec(t, first.Conn, "update task_usage_hourly_rollup_state set watermark_at = now()")
	one.run()
	exact(t, first.Conn)
	exact(t, second.Conn)
}
