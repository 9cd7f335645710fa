package pg

import (
	"context"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// TestASessionThatTheServerEndedIsLost has a server end a session that was idle
// for too long, as a backfill's is that waits for its window.
func TestASessionThatTheServerEndedIsLost(t *testing.T) {
	server := start(t, lab.Options{})
	connector, err := NewConnector("postgres://postgres@127.0.0.1:"+tcpPort(t, server)+"/postgres", "multica-rollup/test")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := connector.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var pid int32
	if err := conn.QueryRow(t.Context(), "select pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "set idle_session_timeout = '100ms'"); err != nil {
		t.Fatal(err)
	}
	watch := superuser(t, server, "postgres")
	for there := true; there; time.Sleep(10 * time.Millisecond) {
		if err := watch.QueryRow(t.Context(), "select exists (select from pg_stat_activity where pid = $1)", pid).Scan(&there); err != nil {
			t.Fatal(err)
		}
	}
	_, err = conn.Exec(t.Context(), "select 1")
	if !IsLost(err) {
		t.Errorf("%v (%s) is not taken for a loss", err, SQLState(err))
	}
}
