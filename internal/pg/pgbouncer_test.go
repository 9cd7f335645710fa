package pg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// bouncer starts PgBouncer in transaction mode with nothing but its default
// settings before the given databases, and returns its port.
func bouncer(t *testing.T, server *lab.Server, databases string) (port string) {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		// Debian keeps it where an ordinary user's PATH does not look.
		program = "/usr/sbin/pgbouncer"
	}
	who := owner(t, server)
	dir := dirFor(t, who)
	port = freePort(t)
	writeFor(t, who, filepath.Join(dir, "users.txt"), fmt.Appendf(nil, "%q \"\"\n%q %q\n", "postgres", "agent", password))
	writeFor(t, who, filepath.Join(dir, "pgbouncer.ini"), fmt.Appendf(nil, `[databases]
%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = plain
auth_file = %s/users.txt
pool_mode = transaction
logfile = %[3]s/log
`, databases, port, dir))
	cmd := as(exec.Command(program, filepath.Join(dir, "pgbouncer.ini")), who)
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting pgbouncer (apt-get install pgbouncer): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // an error means that it has ended already
		_ = cmd.Wait()
	})
	eventually(t, "pgbouncer answers", func() error {
		if err := awaitLive(t.Context(), "postgres://agent:"+password+"@127.0.0.1:"+port+"/pgbouncer"); err != nil {
			said, _ := os.ReadFile(output.Name()) // it only adds to the error
			return fmt.Errorf("%w: %s", err, said)
		}
		return nil
	})
	return port
}

func TestPgBouncerInTransactionMode(t *testing.T) {
	server := start(t, lab.Options{})
	conn := superuser(t, server, "postgres")
	exec1(t, conn, "create role agent login superuser password '"+password+"'")
	if err := server.CreateDatabase(t.Context(), "multica", lab.Gen272); err != nil {
		t.Fatal(err)
	}
	// One server connection: whatever a client left on it the other one would meet.
	port := bouncer(t, server, "multica = host=127.0.0.1 port="+tcpPort(t, server)+" dbname=multica pool_size=1")
	dsn := "postgres://agent:" + password + "@127.0.0.1:" + port + "/multica"

	var clients []*pgx.Conn
	for _, application := range []string{"multica-rollup/run", "multica-rollup/status"} {
		connector, err := NewConnector(dsn, application)
		if err != nil {
			t.Fatal(err)
		}
		client, err := connector.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close(context.Background())
		clients = append(clients, client)
	}
	settings := TxSettings{LockTimeout: time.Second, StatementTimeout: 7 * time.Second}
	for round := range 5 {
		for i, client := range clients {
			err := InTx(t.Context(), client, settings, func(tx pgx.Tx) error {
				if err := Lock(t.Context(), tx); err != nil {
					return err
				}
				var application, timeout string
				var n int
				err := tx.QueryRow(t.Context(), "select current_setting('application_name'), current_setting('statement_timeout'), $1::int + count(*) from task_usage where created_at < $2", round, time.Now()).
					Scan(&application, &timeout, &n)
				if err != nil {
					return err
				}
				if want := []string{"multica-rollup/run", "multica-rollup/status"}[i]; application != want || timeout != "7s" || n != round {
					t.Errorf("application_name %q, statement_timeout %s, n %d", application, timeout, n)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	var timeout, prepared string
	if err := clients[0].QueryRow(t.Context(), "select current_setting('statement_timeout'), count(*)::text from pg_prepared_statements").Scan(&timeout, &prepared); err != nil {
		t.Fatal(err)
	}
	if timeout != "0" || prepared != "0" {
		t.Errorf("left behind on the connection: statement_timeout %s, %s prepared statements", timeout, prepared)
	}

	// A cancelled context reaches the server through the pooler.
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := clients[0].Exec(ctx, "select pg_sleep(61)"); err == nil {
		t.Error("the statement went on")
	}
	eventually(t, "nothing sleeps", func() error {
		var active int
		if err := conn.QueryRow(t.Context(), "select count(*) from pg_stat_activity where state = 'active' and query like '%sleep(61%' and pid <> pg_backend_pid()").Scan(&active); err != nil {
			return err
		}
		if active > 0 {
			return errors.New("still active")
		}
		return nil
	})
}

func TestPgBouncersRefusalsAreExplained(t *testing.T) {
	server := start(t, lab.Options{})
	port := bouncer(t, server, "multica = host=127.0.0.1 port="+tcpPort(t, server)+" dbname=postgres\n"+
		"down = host=127.0.0.1 port="+freePort(t)+" dbname=postgres")
	at := func(user, database, more string) string {
		return "postgres://" + user + "@127.0.0.1:" + port + "/" + database + "?connect_timeout=2&" + more
	}
	to := func(database string) string { return "connecting to 127.0.0.1:" + port + "/" + database + ": " }
	for _, f := range []failure{
		{"unknown database", at("agent:"+password, "nowhere", ""), problem.Config, to("nowhere") + "(PgBouncer says: )?.*(no such database: nowhere|does not exist)", "name"},
		{"wrong password", at("agent:x", "multica", ""), problem.Permission, to("multica") + `.*(auth failed|authentication failed).*`, "password"},
		{"unknown role", at("nobodyknows:x", "multica", ""), problem.Permission, to("multica") + `.*(auth failed|authentication failed|no such user).*`, "password"},
		{"parameter it does not know", at("agent:"+password, "multica", "options=-cjit%3Doff"), problem.Config, to("multica") + `PgBouncer says: unsupported startup parameter.*options.*`, "ignore_startup_parameters"},
		{"server behind it is down", at("agent:"+password, "down", ""), problem.Unreachable, to("down") + `(PgBouncer says: .*|no answer in time)`, ""},
	} {
		t.Run(f.name, f.check)
	}
}
