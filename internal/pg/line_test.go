package pg

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// frozen opens a connection and stops the server process behind it, until the test ends.
func frozen(t *testing.T, connector *Connector) *pgx.Conn {
	t.Helper()
	conn, err := connector.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pid := int(conn.PgConn().PID())
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
		Close(context.Background(), conn)
	})
	return conn
}

// silent demands an error that says how long nothing came, no sooner than it may and not for ever.
func silent(t *testing.T, connector *Connector, err error, began time.Time, bound time.Duration) {
	t.Helper()
	took := time.Since(began)
	quiet, ok := errors.AsType[*SilentError](err)
	if !ok || quiet.After < bound {
		t.Fatalf("error %v after %s, want a silence of %s", err, took, bound)
	}
	if took > bound+5*time.Minute {
		t.Errorf("it took %s, the bound is %s", took, bound)
	}
	checkProblem(t, connector.Explain(err), problem.Unreachable, `127\.0\.0\.1:\d+/postgres: the server has not answered for [0-9.]+m?s`, "hangs")
}

func TestAServerThatAnswersNoMoreIsGivenUp(t *testing.T) {
	server := start(t, lab.Options{})
	authority := serveTLS(t, server, "localhost")
	for name, parameters := range map[string]string{"plain": "?sslmode=disable", "TLS": "?sslmode=verify-ca&sslrootcert=" + authority} {
		connector, err := NewConnector(server.TCPDSN("postgres")+parameters, "multica-rollup/test")
		if err != nil {
			t.Fatal(err)
		}
		connector.SetPatience(Patience{Margin: 200 * time.Millisecond, Outside: 700 * time.Millisecond})
		t.Run(name+"/outside of a transaction", func(t *testing.T) {
			t.Parallel()
			conn, began := frozen(t, connector), time.Now()
			_, err := conn.Exec(t.Context(), "select 1")
			silent(t, connector, err, began, 700*time.Millisecond)
			if !conn.IsClosed() {
				t.Error("the connection is still open")
			}
		})
		t.Run(name+"/in a transaction", func(t *testing.T) {
			t.Parallel()
			conn, err := connector.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer Close(context.Background(), conn)
			pid := int(conn.PgConn().PID())
			var began time.Time
			err = InTx(t.Context(), conn, TxSettings{StatementTimeout: time.Second}, func(tx pgx.Tx) error {
				if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
					return err
				}
				t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // it may have ended
				began = time.Now()
				_, err := tx.Exec(t.Context(), "select 1")
				return err
			})
			silent(t, connector, err, began, 1200*time.Millisecond)
		})
	}
}

func TestWhatTakesItsTimeWithinItsTimeoutIsWaitedFor(t *testing.T) {
	server := start(t, lab.Options{})
	connector, err := NewConnector(server.TCPDSN("postgres"), "multica-rollup/test")
	if err != nil {
		t.Fatal(err)
	}
	// Less than what the statements take: only what was said of them counts.
	connector.SetPatience(Patience{Margin: time.Minute, Outside: 100 * time.Millisecond, WholeTable: time.Minute})
	conn, err := connector.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer Close(context.Background(), conn)
	const slow = "select pg_sleep(0.6)"
	err = InTx(t.Context(), conn, TxSettings{StatementTimeout: time.Minute}, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), slow)
		return err
	})
	if err != nil {
		t.Errorf("in a transaction: %v", err)
	}
	restore := ReadsWholeTable(conn)
	if _, err = conn.Exec(t.Context(), slow); err != nil {
		t.Errorf("with patience: %v", err)
	}
	restore()
	began := time.Now()
	_, err = conn.Exec(t.Context(), slow)
	silent(t, connector, err, began, 100*time.Millisecond)
}

func TestAnIdleConnectionIsNotGivenUp(t *testing.T) {
	server := start(t, lab.Options{})
	connector, err := NewConnector(server.TCPDSN("postgres"), "multica-rollup/test")
	if err != nil {
		t.Fatal(err)
	}
	connector.SetPatience(Patience{Margin: time.Second, Outside: 5 * time.Second})
	conn, err := connector.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer Close(context.Background(), conn)
	for range 2 {
		if _, err := conn.Exec(t.Context(), "select 1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
	}
}

func TestAPeerThatVanishedIsGivenUpByTheKernel(t *testing.T) {
	server := start(t, lab.Options{})
	for _, c := range []struct {
		parameters                         string
		alive, idle, interval, count, user int
	}{
		{"", 1, 15, 5, 3, 30_000},
		{"?keepalives_idle=7&keepalives_interval=2&keepalives_count=4&tcp_user_timeout=9000", 1, 7, 2, 4, 9000},
		{"?keepalives=0&tcp_user_timeout=0", 0, 0, 0, 0, 30_000},
	} {
		connector, err := NewConnector(server.TCPDSN("postgres")+c.parameters, "multica-rollup/test")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := connector.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := lineOf(conn).Conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		option := func(level, name int) (n int) {
			cerr := raw.Control(func(fd uintptr) { n, err = unix.GetsockoptInt(int(fd), level, name) })
			if err := errors.Join(cerr, err); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if got := option(unix.SOL_SOCKET, unix.SO_KEEPALIVE); got != c.alive {
			t.Errorf("%q: SO_KEEPALIVE is %d, want %d", c.parameters, got, c.alive)
		}
		for _, o := range []struct{ name, want int }{
			{unix.TCP_KEEPIDLE, c.idle}, {unix.TCP_KEEPINTVL, c.interval}, {unix.TCP_KEEPCNT, c.count}, {unix.TCP_USER_TIMEOUT, c.user},
		} {
			if got := option(unix.IPPROTO_TCP, o.name); got != o.want && (c.alive == 1 || o.name == unix.TCP_USER_TIMEOUT) {
				t.Errorf("%q: option %d is %d, want %d", c.parameters, o.name, got, o.want)
			}
		}
		Close(t.Context(), conn)
	}
	_, err := NewConnector(server.TCPDSN("postgres")+"?tcp_user_timeout=9s", "multica-rollup/test")
	checkProblem(t, err, problem.Config, "the DSN has a value of tcp_user_timeout that is not a number", "whole number")
}
