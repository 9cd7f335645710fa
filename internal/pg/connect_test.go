package pg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

const password = "s3cr3t"

// failure is a connection that cannot be made, and what is to be said about it.
type failure struct {
	name string
	dsn  string
	kind problem.Kind
	line string // regular expression for the whole line
	hint string // part of it
}

func (f failure) check(t *testing.T) {
	t.Helper()
	connector, err := NewConnector(f.dsn, "multica-rollup/test")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := connector.Connect(t.Context())
	if err == nil {
		_ = conn.Close(t.Context())
		t.Fatal("the connection was made")
	}
	checkProblem(t, err, f.kind, f.line, f.hint)
}

func checkProblem(t *testing.T, err error, kind problem.Kind, line, hint string) {
	t.Helper()
	if !regexp.MustCompile(`^` + line + `$`).MatchString(err.Error()) {
		t.Errorf("line\n%s\nwant\n%s", err, line)
	}
	if got := problem.HintOf(err); !strings.Contains(got, hint) || got == "" {
		t.Errorf("hint\n%s\nwant\n…%s…", got, hint)
	}
	if got := problem.KindOf(err); got != kind {
		t.Errorf("exit code %d, want %d", got.ExitCode(), kind.ExitCode())
	}
	if strings.Contains(err.Error()+problem.HintOf(err), password) {
		t.Errorf("the password is told: %s, %s", err, problem.HintOf(err))
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
}

func TestConnectionFailuresAreOneLineWithAHint(t *testing.T) {
	server := start(t, lab.Options{HBA: []string{
		"hostssl   all tls_only     127.0.0.1/32 trust",
		"host      all tls_only     127.0.0.1/32 reject",
		"host      all rejected     127.0.0.1/32 reject",
		"hostnossl all unencrypted  127.0.0.1/32 trust",
		"host      all unencrypted  127.0.0.1/32 reject",
		"host      all reader,limited,nologin 127.0.0.1/32 scram-sha-256",
		"local     all socket                    peer",
		"host      elsewhere all    127.0.0.1/32 trust",
		"host      all nobodyknows  127.0.0.1/32 trust",
		"host      all postgres     127.0.0.1/32 trust",
		"host      nowhere all      127.0.0.1/32 trust",
		"host      all all          127.0.0.1/32 reject",
	}})
	conn := superuser(t, server, "postgres")
	exec1(t, conn,
		"create database multica", "create database elsewhere allow_connections false",
		"create role reader login password '"+password+"'",
		"create role limited login password '"+password+"' connection limit 0",
		"create role nologin password '"+password+"'",
		"create role tls_only login", "create role rejected login", "create role socket login", "create role unencrypted login",
	)
	port := tcpPort(t, server)
	at := func(user, database, more string) string {
		return fmt.Sprintf("postgres://%s@127.0.0.1:%s/%s?%s", user, port, database, more)
	}
	to := func(database string) string { return "connecting to 127.0.0.1:" + port + "/" + database + ": " }
	closed, silent := freePort(t), listen(t, func(net.Conn) {})
	noSocket := t.TempDir()

	for _, f := range []failure{
		{"refused", "postgres://u:" + password + "@127.0.0.1:" + closed + "/d", problem.Unreachable,
			"connecting to 127.0.0.1:" + closed + "/d: connection refused by 127.0.0.1:" + closed, "listen_addresses"},
		{"timed out", "postgres://u:" + password + "@" + silent + "/d?connect_timeout=1", problem.Unreachable,
			"connecting to " + silent + "/d: no answer in time", "firewall"},
		{"no socket", "host=" + noSocket + " port=5432 dbname=d user=u password=" + password, problem.Unreachable,
			"connecting to " + noSocket + ":5432/d: there is no socket " + noSocket + "/.s.PGSQL.5432", "systemctl status postgresql"},
		{"not PostgreSQL", "postgres://u:" + password + "@" + listen(t, func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-OpenSSH\r\n"); _ = c.Close() }) + "/d", problem.Config,
			".*: what answers is no PostgreSQL server(; the server closed the connection)?", "host and port"},
		{"closes at once", "postgres://u@" + listen(t, func(c net.Conn) { _ = c.Close() }) + "/d?sslmode=disable", problem.Unreachable,
			".*: the server closed the connection", "log"},
		{"wrong password", at("reader:x"+password, "multica", ""), problem.Permission,
			to("multica") + `password authentication failed for user "reader"`, "psql"},
		{"no password", at("reader", "multica", ""), problem.Permission,
			to("multica") + `password authentication failed for user "reader"`, "psql"},
		{"unknown database", at("postgres", "nowhere", ""), problem.Config,
			to("nowhere") + `database "nowhere" does not exist`, "psql -l"},
		{"database without connections", at("postgres", "elsewhere", ""), problem.Config,
			to("elsewhere") + `database "elsewhere" is not currently accepting connections`, "ALLOW_CONNECTIONS"},
		{"unknown role", at("nobodyknows", "multica", ""), problem.Permission,
			to("multica") + `role "nobodyknows" does not exist`, "createuser --pwprompt nobodyknows"},
		{"role without login", at("nologin:"+password, "multica", ""), problem.Permission,
			to("multica") + `role "nologin" is not permitted to log in`, "ALTER ROLE nologin LOGIN"},
		{"too many connections", at("limited:"+password, "multica", ""), problem.Unreachable,
			to("multica") + `too many connections for role "limited"`, "CONNECTION LIMIT"},
		{"rejected by pg_hba.conf", at("rejected", "multica", "sslmode=disable"), problem.Permission,
			to("multica") + `pg_hba.conf rejects connection for host "127.0.0.1", user "rejected", database "multica", no encryption`, "pg_hba.conf"},
		{"TLS demanded", at("tls_only", "multica", ""), problem.Permission,
			to("multica") + `pg_hba.conf rejects connection for host "127.0.0.1", user "tls_only", database "multica", no encryption`, "sslmode=require"},
		{"no TLS there", at("postgres", "multica", "sslmode=require"), problem.Config,
			to("multica") + "the server offers no TLS", "sslmode=disable"},
		{"peer authentication", fmt.Sprintf("host=%s port=%s user=socket dbname=multica", server.Dir(), port), problem.Permission,
			"connecting to " + server.Dir() + ":" + port + `/multica: Peer authentication failed for user "socket"`, "named like the system user"},
		{"unknown parameter", at("postgres", "multica", "options=-c%20frobnicate%3D1"), problem.Config,
			to("multica") + `unrecognized configuration parameter "frobnicate"`, "remove that parameter"},
		{"several hosts, each with its reason", "postgres://u:" + password + "@127.0.0.1:" + closed + "," + silent + "/d?connect_timeout=1&sslmode=disable", problem.Unreachable,
			"connecting to 127.0.0.1:" + closed + "," + silent + "/d: no answer in time; connection refused by 127.0.0.1:" + closed, "firewall"},
		{"demands a standby", at("postgres", "multica", "target_session_attrs=standby"), problem.Config,
			to("multica") + "the server is no standby, and the DSN demands one", "read-write"},
	} {
		t.Run(f.name, f.check)
	}

	authority := serveTLS(t, server, "db.example")
	foreign, _ := certificate(t, nil, nil, "another authority")
	for _, f := range []failure{
		{"certificate of an unknown authority", at("postgres", "multica", "sslmode=verify-ca&sslrootcert="+authorityFile(t, foreign)), problem.Config,
			to("multica") + `the server's certificate is signed by an unknown authority.*`, "sslrootcert=FILE"},
		{"certificate for another host", at("postgres", "multica", "sslmode=verify-full&sslrootcert="+authority), problem.Config,
			to("multica") + `the server's certificate is not for the host "127.0.0.1".*`, "verify-ca"},
		{"TLS refused by pg_hba.conf", at("unencrypted", "multica", "sslmode=require"), problem.Permission,
			to("multica") + `pg_hba.conf rejects connection for host "127.0.0.1", user "unencrypted", database "multica", SSL encryption`, "pg_hba.conf"},
		{"channel binding that is not there", at("postgres", "multica", "sslmode=require&channel_binding=require"), problem.Config,
			to("multica") + `the server does not offer the channel binding that the DSN demands`, "channel_binding"},
	} {
		t.Run(f.name, f.check)
	}
	for _, dsn := range []string{
		at("tls_only", "multica", ""),
		at("unencrypted", "multica", ""), // sslmode=prefer tries without TLS
		at("postgres", "multica", "sslmode=verify-ca&sslrootcert="+authority),
		at("reader:"+password, "multica", "sslmode=require&pool_max_conns=5&keepalives=1&application_name=x"),
	} {
		connector, err := NewConnector(dsn, "multica-rollup/test")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := connector.Connect(t.Context())
		if err != nil {
			t.Errorf("%s: %v", connector.Redact(dsn), err)
			continue
		}
		var application string
		if err := conn.QueryRow(t.Context(), "select application_name from pg_stat_activity where pid = pg_backend_pid()").Scan(&application); err != nil {
			t.Fatal(err)
		}
		if application != "multica-rollup/test" {
			t.Errorf("application_name %q", application)
		}
		_ = conn.Close(t.Context())
	}
}

// listen accepts connections and hands them to serve; it returns host:port.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed with the test
			}
			go serve(conn)
		}
	}()
	return listener.Addr().String()
}

func TestPrivilegesThatLackAreNamedAsAGrant(t *testing.T) {
	server := start(t, lab.Options{})
	if err := server.CreateDatabase(t.Context(), "multica", lab.Gen272); err != nil {
		t.Fatal(err)
	}
	conn := superuser(t, server, "multica")
	exec1(t, conn, `create role "the-agent" login`, "revoke execute on function prune_task_usage_hourly_dirty(interval) from public",
		"create schema closed", "create table closed.t ()", `create database other`, "revoke connect on database other from public")
	dsn := strings.Replace(server.DSN("multica"), "postgres@", "the-agent@", 1)
	connector, err := NewConnector(dsn, "multica-rollup/test")
	if err != nil {
		t.Fatal(err)
	}
	agent, err := connector.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer agent.Close(context.Background())
	target := regexp.QuoteMeta(connector.Target())
	for _, tt := range []struct{ sql, line, hint string }{
		{"select 1 from task_usage", "permission denied for table task_usage", `GRANT SELECT ON task_usage TO "the-agent"`},
		{"delete from task_usage_hourly", "permission denied for table task_usage_hourly", `GRANT SELECT, INSERT, UPDATE, DELETE ON task_usage_hourly TO "the-agent"`},
		{"update task_usage_hourly_rollup_state set last_error = null", "permission denied for table task_usage_hourly_rollup_state", `GRANT SELECT, UPDATE ON task_usage_hourly_rollup_state TO "the-agent"`},
		{"select prune_task_usage_hourly_dirty()", "permission denied for function prune_task_usage_hourly_dirty", `GRANT EXECUTE ON FUNCTION prune_task_usage_hourly_dirty TO "the-agent"`},
		{"select 1 from closed.t", "permission denied for schema closed", `GRANT USAGE ON SCHEMA closed TO "the-agent"`},
		{"drop table task_usage", "must be owner of table task_usage", "multica-rollup doctor"},
	} {
		t.Run(tt.sql, func(t *testing.T) {
			_, err := agent.Exec(t.Context(), tt.sql)
			checkProblem(t, connector.Explain(err), problem.Permission, target+": "+tt.line, tt.hint)
		})
	}
	failure{"", strings.Replace(server.DSN("other"), "postgres@", "the-agent@", 1), problem.Permission,
		`connecting to .*/other: permission denied for database "?other"?`, `GRANT CONNECT ON DATABASE other TO "the-agent"`}.check(t)

	// An ended session.
	var pid int
	if err := agent.QueryRow(t.Context(), "select pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	exec1(t, conn, fmt.Sprintf("select pg_terminate_backend(%d)", pid))
	eventually(t, "the session has ended", func() error {
		if _, err := agent.Exec(t.Context(), "select 1"); err != nil {
			checkProblem(t, connector.Explain(err), problem.Unreachable, target+": (terminating connection due to administrator command|the server closed the connection)", "next run")
			return nil
		}
		return errors.New("it answers still")
	})
}

func TestStandby(t *testing.T) {
	server := start(t, lab.Options{})
	conn := superuser(t, server, "postgres")
	var binaries string
	if err := conn.QueryRow(t.Context(), "select setting from pg_config() where name = 'BINDIR'").Scan(&binaries); err != nil {
		t.Fatal(err)
	}
	who := owner(t, server)
	data, port := filepath.Join(dirFor(t, who), "standby"), freePort(t)
	if err := server.BaseBackup(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	dsn := "postgres://postgres@127.0.0.1:" + port + "/postgres"
	run := func(hot string) (stop func()) {
		// The socket's directory is the data directory: its path is short enough, and nothing else is there.
		cmd := as(exec.Command(filepath.Join(binaries, "postgres"), "-D", data, "-p", port, "-c", "hot_standby="+hot, "-k", data), who)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return func() {
			// Not killed: its children would live on for a while, and keep the next one out.
			_ = cmd.Process.Signal(syscall.SIGQUIT) // an error means that it has ended already
			_ = cmd.Wait()
		}
	}
	to := "connecting to 127.0.0.1:" + port + "/postgres: "

	stop := run("off")
	eventually(t, "the standby answers", func() error { return awaitLive(t.Context(), dsn) })
	failure{"", dsn, problem.Unreachable, to + "the database system is (not accepting connections|starting up|not yet accepting connections)", "recovered"}.check(t)
	stop()

	defer run("on")()
	var standby *Connector
	eventually(t, "the standby is up", func() error {
		var err error
		if standby, err = NewConnector(dsn, "multica-rollup/test"); err != nil {
			return err
		}
		conn, err := standby.Connect(t.Context())
		if err != nil {
			return err
		}
		defer conn.Close(t.Context())
		_, err = conn.Exec(t.Context(), "create table t ()")
		if SQLState(err) != StateReadOnlyTransaction {
			return fmt.Errorf("creating a table: %w", err)
		}
		checkProblem(t, standby.Explain(err), problem.Unreachable,
			"127.0.0.1:"+port+"/postgres: the server accepts no writes: cannot execute CREATE TABLE in a read-only transaction", "target_session_attrs=read-write")
		return nil
	})
	failure{"", dsn + "?target_session_attrs=read-write", problem.Unreachable, to + "the server is a read-only standby", "every server"}.check(t)
	failure{"", dsn + "?target_session_attrs=primary", problem.Unreachable, to + "the server is a read-only standby", "every server"}.check(t)

	both, err := NewConnector("postgres://postgres@127.0.0.1:"+port+",127.0.0.1:"+tcpPort(t, server)+"/postgres?target_session_attrs=read-write", "multica-rollup/test")
	if err != nil {
		t.Fatal(err)
	}
	primary, err := both.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec1(t, primary, "create temporary table t ()")
	_ = primary.Close(t.Context())
}

// awaitLive returns nil when a server answers, be it with a refusal.
func awaitLive(ctx context.Context, dsn string) error {
	conn, err := pgconn.Connect(ctx, dsn)
	if err == nil {
		return conn.Close(ctx)
	}
	if SQLState(err) != "" {
		return nil
	}
	return err
}

func TestCancelledContextStopsTheStatementOnTheServer(t *testing.T) {
	server := start(t, lab.Options{})
	connector, err := NewConnector(server.TCPDSN("postgres"), "multica-rollup/test")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := connector.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	ctx, cancel := context.WithCancel(t.Context())
	observer := superuser(t, server, "postgres")
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Exec(ctx, "select pg_sleep(3600)")
		ended <- err
	}()
	labtest.UntilTrue(t, observer, "the statement runs", "select exists (select from pg_stat_activity where pid = $1 and wait_event = 'PgSleep')", int64(conn.PgConn().PID()))
	cancel()
	if err := <-ended; err == nil {
		t.Fatal("the statement went on")
	}
	var active int
	eventually(t, "nothing sleeps", func() error {
		if err := observer.QueryRow(t.Context(), "select count(*) from pg_stat_activity where state = 'active' and query like '%sleep(3600%' and pid <> pg_backend_pid()").Scan(&active); err != nil || active > 0 {
			return fmt.Errorf("%d active, %w", active, err)
		}
		return nil
	})
	// The cancel request ended the statement, not the session.
	if _, err := conn.Exec(t.Context(), "select 1"); err != nil {
		t.Errorf("the session is gone: %v", err)
	}

	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := connector.Connect(ctx); !errors.Is(err, context.Canceled) || problem.HintOf(err) != "" {
		t.Errorf("Connect() = %v, want the context's error", err)
	}
}

func TestAServiceFileIsHeldToTheSameKeywords(t *testing.T) {
	for line, want := range map[string]string{
		"sslcrl=/etc/ssl/crl.pem": "sslcrl, which names a revocation list", "requirepeer=postgres": "requirepeer, which asks for the owner",
		"hostaddr=127.0.0.2": "hostaddr, which counts in the DSN alone", "gssencmode=require": "gssencmode, which asks for encryption",
		"gssencmode=disable": "", "keepalives_idle=30": "", "load_balance_hosts=random": "",
	} {
		file := filepath.Join(t.TempDir(), "services")
		if err := os.WriteFile(file, []byte("[multica]\nhost=127.0.0.1\npassword=s3cret\n"+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := NewConnector("service=multica servicefile="+file, "multica-rollup/test")
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", line, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || problem.KindOf(err) != problem.Config || problem.HintOf(err) == ""):
			t.Errorf("%s: error %v, want a refusal with %q", line, err, want)
		}
	}
}
