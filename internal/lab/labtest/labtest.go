// Package labtest gives tests a fresh Multica-shaped database each, on one PostgreSQL server for
// the whole test binary, or on a shared one that MULTICA_LAB_DSN names (a superuser's URL).
package labtest

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// DSNVariable names the environment variable with the URL of a server to share.
const DSNVariable = "MULTICA_LAB_DSN"

// shared is the binary's server. It is the one mutable state, since a server for each test would
// cost a second each; the server ends with the process even where Main is not called.
var shared struct {
	sync.Mutex
	server *lab.Server
}

// DB is one test's own database.
type DB struct {
	Name   string
	DSN    string    // the superuser's URL
	Conn   *pgx.Conn // closed when the test ends
	Server *lab.Server
}

// New creates a database of the given generation, which is dropped when the test ends.
func New(t testing.TB, gen lab.Generation) *DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	server := Server(t)
	db := &DB{Name: "lab_test_" + strings.ToLower(rand.Text()), Server: server}
	if err := server.CreateDatabase(ctx, db.Name, gen); err != nil {
		t.Fatalf("creating the test's database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.DropDatabase(ctx, db.Name); err != nil {
			t.Errorf("dropping the test's database: %v", err)
		}
	})
	db.DSN = server.DSN(db.Name)
	db.Conn = db.Connect(t)
	return db
}

// Connect opens another connection as the superuser, closed when the test ends.
func (db *DB) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, db.DSN)
	if err != nil {
		t.Fatalf("connecting to the test's database: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the drop ends what a close could not
	return conn
}

// Server returns the binary's server, started on first use: for tests that need databases without
// a schema, roles or settings of their own.
func Server(t testing.TB) *lab.Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		server, err := lab.Start(context.Background(), lab.Options{DSN: os.Getenv(DSNVariable), Dir: memoryDir(t)})
		if err != nil {
			t.Fatalf("starting the test server: %v", err)
		}
		shared.server = server
	}
	return shared.server
}

// Need does not run a test on a PostgreSQL that is listed as coming without the part: see package lacks.
// Elsewhere the test runs, and fails if the part is missing.
func Need(t testing.TB, part string) {
	t.Helper()
	if os.Getenv(DSNVariable) != "" {
		return // somebody's own server
	}
	reason, known, err := lab.Lacks(context.Background(), part)
	if err != nil {
		t.Fatal(err)
	}
	if known {
		t.Skip(reason)
	}
}

// memoryRoom is how many free bytes of shared memory let the server live there: the largest tests
// take less than a quarter of it.
const memoryRoom = 8 << 30

// memoryDir returns a new directory in shared memory where that has room, else "" for the usual
// place. Making a database is making 300 files, which some disks take ten times as long for.
func memoryDir(t testing.TB) string {
	t.Helper()
	const shm = "/dev/shm"
	var fs syscall.Statfs_t
	if os.Getenv(DSNVariable) != "" || syscall.Statfs(shm, &fs) != nil || fs.Bavail*uint64(fs.Bsize) < memoryRoom {
		return ""
	}
	dir, err := os.MkdirTemp(shm, "multica-lab-")
	if err != nil {
		return "" // not ours to write in
	}
	return dir
}

// Main runs a binary's tests and stops its server: func TestMain(m *testing.M) { labtest.Main(m) }.
func Main(m *testing.M) {
	m.Run() // the testing package exits with the code it keeps in m
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.Stop()
	}
}
