//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/packaging/e2e/box"
)

// Multica's database on the host, as its owner reaches it over the unix socket.
const ownersDSN = "postgres:///multica?host=/var/run/postgresql&user=postgres"

// The agent's two ways to it. The second address stands for another host: it is not a loopback one.
const (
	socketDSN = `dsn = "host=/var/run/postgresql dbname=multica user=multica-rollup"`
	tcpDSN    = `dsn = "postgres://multica-rollup:` + password + `@10.77.0.5:5432/multica"`
)

// makeMultica creates Multica's database with some months of usage that nobody has rolled up, and the
// agent's role by the SQL that the package documents.
func makeMultica(t *testing.T, h *host) {
	t.Helper()
	makeGeneration(t, h, "272")
}

// makeGeneration makes Multica's database as a generation of its releases leaves it.
func makeGeneration(t *testing.T, h *host, generation string) {
	t.Helper()
	serverDSN := strings.Replace(ownersDSN, "/multica?", "/postgres?", 1)
	h.must(t, `cd /; runuser -u postgres -- multica-lab create --generation `+generation+` --dsn '`+serverDSN+`'`)
	h.must(t, `cd /; runuser -u postgres -- multica-lab seed --shape dense --dsn '`+ownersDSN+`' --tasks 3000 --months 3`)
	h.must(t, `cd /; runuser -u postgres -- psql -qXv ON_ERROR_STOP=1 -d multica -f /usr/share/doc/multica-rollup/examples/role.sql`)
}

// wantOracle recounts all usage and finds the hourly table equal.
func wantOracle(t *testing.T, h *host) {
	t.Helper()
	if got := sql(t, h, "SELECT count(*) > 0 FROM task_usage_hourly"); got != "t" {
		t.Error("nothing has been rolled up")
	}
	if result := oracle(t, h); result.Exit != 0 {
		t.Errorf("the hourly table is wrong: %s%s", result.Stdout, result.Stderr)
	}
}

// oracle recounts all usage; exit code 0 says that the hourly table is equal.
func oracle(t *testing.T, h *host) box.Result {
	t.Helper()
	return h.try(t, `cd /; runuser -u postgres -- multica-lab oracle --dsn '`+ownersDSN+`'`)
}

// sql runs one statement as the database's owner and returns its unaligned result.
func sql(t *testing.T, h *host, statement string) string {
	t.Helper()
	return h.must(t, `cd /; runuser -u postgres -- psql -qXAtv ON_ERROR_STOP=1 -d multica -c `+quote(statement))
}
