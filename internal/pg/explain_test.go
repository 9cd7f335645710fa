package pg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// What no test can bring about on any host: name servers, routes, a full disk, a server in another language.
func TestErrorsThatNeedNoServer(t *testing.T) {
	server := func(code, message string) error {
		return fmt.Errorf("doing something: %w", &pgconn.PgError{Code: code, Message: message, Hint: "a hint\nof two lines"})
	}
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5432}, Err: os.NewSyscallError("connect", err)}
	}
	for _, tt := range []struct {
		err  error
		kind problem.Kind
		line string
		hint string
	}{
		{&net.DNSError{Err: "no such host", Name: "nowhere.example", IsNotFound: true}, problem.Unreachable, `the host name "nowhere.example" is unknown`, "getent hosts nowhere.example"},
		{&net.DNSError{Err: "server misbehaving", Name: "db.example"}, problem.Unreachable, `the host name "db.example" could not be looked up: server misbehaving`, "name servers"},
		{dial(syscall.EHOSTUNREACH), problem.Unreachable, "there is no route to the host", "firewall"},
		{dial(syscall.ENETUNREACH), problem.Unreachable, "there is no route to the host", "firewall"},
		{dial(syscall.ECONNREFUSED), problem.Unreachable, "connection refused by 192.0.2.1:5432", "listen_addresses"},
		{dial(syscall.EPERM), problem.Permission, `this host does not let the program open the connection \(operation not permitted\)`, "IPAddressDeny="},
		{dial(syscall.EAFNOSUPPORT), problem.Permission, `this host does not let the program open the connection \(address family not supported by protocol\)`, "RestrictAddressFamilies="},
		{dial(syscall.EADDRNOTAVAIL), problem.Failed, "cannot assign requested address", ""},
		{&net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: "/run/x", Net: "unix"}, Err: os.NewSyscallError("connect", syscall.EACCES)}, problem.Permission, "the socket /run/x may not be opened by this user", "unix_socket_permissions"},
		{fmt.Errorf("reading: %w", syscall.ECONNRESET), problem.Unreachable, "the server closed the connection", "next run"},
		{errors.New("line one\nline two"), problem.Failed, "line one line two", ""},
		{server(StateDiskFull, "could not extend file: No space left on device"), problem.Failed, "could not extend file: No space left on device", "make room"},
		{server(StateLockNotAvailable, "canceling statement due to lock timeout"), problem.TryAgain, "canceling statement due to lock timeout", "next run"},
		{server(StateQueryCanceled, "canceling statement due to statement timeout"), problem.Failed, "canceling statement due to statement timeout", "statement_timeout"},
		{server(StateCannotConnectNow, "the database system is starting up"), problem.Unreachable, "the database system is starting up", "wait"},
		{server(StateAdminShutdown, "terminating connection due to administrator command"), problem.Unreachable, "terminating connection due to administrator command", "next run"},
		{server(StateTooManyConnections, "sorry, too many clients already"), problem.Unreachable, "sorry, too many clients already", "max_connections"},
		{server(StateInsufficientPrivilege, "permission denied for table task_usage_hourly"), problem.Permission, "permission denied for table task_usage_hourly", "GRANT SELECT, INSERT, UPDATE, DELETE ON task_usage_hourly TO ROLE"},
		{server(StateInsufficientPrivilege, "keine Berechtigung für Tabelle task_usage"), problem.Permission, "keine Berechtigung für Tabelle task_usage", "multica-rollup doctor"},
		{server(StateInvalidAuthorization, "Rolle »x« existiert nicht"), problem.Permission, "Rolle »x« existiert nicht", "pg_hba.conf"},
		{server("22012", "division by zero"), problem.Failed, `division by zero \(SQLSTATE 22012\)`, "a hint of two lines"},
		{server("08P01", "no more connections allowed (max_client_conn)"), problem.Unreachable, `PgBouncer says: no more connections allowed \(max_client_conn\)`, "max_client_conn"},
		{server("08P01", "query_wait_timeout"), problem.Unreachable, "PgBouncer says: query_wait_timeout", "default_pool_size"},
		{server("08P01", "server login has been failing, try again later (server_login_retry)"), problem.Unreachable, "PgBouncer says: server login has been failing, .*", "pgbouncer.ini"},
		{server("58000", "pgbouncer is paused"), problem.Unreachable, "PgBouncer says: pgbouncer is paused", "log"},
	} {
		got := explain(tt.err, "db:5432/multica", "")
		if tt.hint != "" {
			checkProblem(t, got, tt.kind, "db:5432/multica: "+tt.line, tt.hint)
		} else if got.Error() != "db:5432/multica: "+tt.line || problem.KindOf(got) != tt.kind {
			t.Errorf("%v: %v, kind %v", tt.err, got, problem.KindOf(got))
		}
		if !errors.Is(got, tt.err) {
			t.Errorf("the cause of %q is lost", got)
		}
	}
}

func TestProblemsAndContextsPassThrough(t *testing.T) {
	for _, err := range []error{
		nil, context.Canceled, fmt.Errorf("reading: %w", context.DeadlineExceeded), problem.New(problem.TryAgain, "wait", "busy"),
	} {
		if got := explain(err, "db:5432/multica", ""); got != err {
			t.Errorf("explain(%v) = %v", err, got)
		}
	}
}

func TestWhatOnlyTheDriverRefusesIsToldWithoutTheDSN(t *testing.T) {
	unreadable := filepath.Join(t.TempDir(), "missing.crt")
	for _, tt := range []struct{ dsn, line, hint string }{
		{"postgres://u:" + password + "@h/d?sslmode=requires", `its TLS settings cannot be used .*`, "postgres://"},
		{"postgres://u:" + password + "@h/d?sslmode=verify-full&sslrootcert=" + unreadable, "it names the file " + unreadable + ": no such file or directory", "absolute path"},
		{"postgres://u:" + password + "@h:0/d", "the port is not a number from 1 to 65535", "postgres://"},
		{"postgres://u:" + password + "@h:1,g:2,i:3/d?port=1,2", "the number of ports does not match the number of hosts", "postgres://"},
		{"host=h password=" + password + " connect_timeout=soon", "connect_timeout is not a number of seconds", "postgres://"},
		{"host=h password=" + password + " target_session_attrs=master", "target_session_attrs is none of .*", "postgres://"},
		{"host=h password=" + password + " channel_binding=x", "channel_binding is none of .*", "postgres://"},
		{"host=h password=" + password + " require_auth=x", "require_auth names an unknown method", "postgres://"},
		{"host=h password=" + password + " sslcertmode=x", "sslcertmode is none of .*", "postgres://"},
		{"host=h password=" + password + " max_protocol_version=4", "max_protocol_version is none of .*", "postgres://"},
		{"host=h password=" + password + " service=x servicefile=/nonexistent", "the service it names is not in the service file.*", "postgres://"},
	} {
		_, err := NewConnector(tt.dsn, "multica-rollup/test")
		if err == nil {
			t.Errorf("%s was accepted", tt.line)
			continue
		}
		checkProblem(t, err, problem.Config, "the DSN cannot be used: "+tt.line, tt.hint)
	}
}

func TestAMalformedDSNIsToldWithoutIt(t *testing.T) {
	for _, tt := range []struct{ dsn, line, hint string }{
		{"host=h password='" + password, "has a value without its closing quote, in setting 2", "single quotes"},
		{"postgres://u:%zz" + password + "@h/d", "is no well-formed URL: it holds a space, or a % without .*", "%XX"},
		{"host=h passwd=" + password, `has an unknown keyword, setting 2 \(did you mean password\?\)`, "man multica-rollup.toml"},
		{"host=h requirepeer=" + password, "has requirepeer, which asks for .*", "remove requirepeer"},
	} {
		if _, err := NewConnector(tt.dsn, "multica-rollup/test"); err == nil {
			t.Errorf("%s was accepted", tt.line)
		} else {
			checkProblem(t, err, problem.Config, "the DSN "+tt.line, tt.hint)
		}
	}
}

func TestTargetNamesEveryHostOnce(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://u:p@h/d":                      "h:5432/d",
		"postgres://u:p@h1,h2:6432/d":             "h1:5432,h2:6432/d",
		"postgres://u:p@[::1]:5433/d":             "[::1]:5433/d",
		"host=/var/run/postgresql user=u":         "/var/run/postgresql:5432/u",
		"host=h user=u dbname=d sslmode=disable":  "h:5432/d",
		"host=a,a,b port=1,1,2 user=u dbname='d'": "a:1,b:2/d",
	} {
		connector, err := NewConnector(dsn, "multica-rollup/test")
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		if got := connector.Target(); got != want {
			t.Errorf("%s: target %q, want %q", dsn, got, want)
		}
	}
}
