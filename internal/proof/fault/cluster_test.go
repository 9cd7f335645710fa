package fault_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// cluster is a server of its own that can crash, start again, and be followed by a standby.
type cluster struct {
	t              *testing.T
	lab            *lab.Server
	name           string // of the latest database
	names          int
	bin, data, log string
	dir            string // of its socket
	port           string
	who            *syscall.Credential
	process        *exec.Cmd // nil while the lab's own process runs
}

// newCluster starts a durable server whose asynchronous commits stay in memory
// as long as they may. It lives in shared memory where it can: a crash of the
// server loses what the server had not written, not what the disk had not.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "multica-proof-")
	if err != nil {
		dir = t.TempDir()
	}
	server, err := lab.Start(context.Background(), lab.Options{Dir: dir, Durable: true, TCP: true, Settings: map[string]string{
		"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB", "shared_buffers": "64MB",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	c := &cluster{t: t, lab: server, name: "postgres", dir: server.Dir(), data: filepath.Join(server.Dir(), "data"), log: filepath.Join(server.Dir(), "again.log")}
	u, err := url.Parse(server.TCPDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	c.port = u.Port()
	conn := c.connect()
	c.bin = get[string](t, conn, "select setting from pg_config() where name = 'BINDIR'")
	c.who = owner(t, c.data)
	t.Cleanup(c.stop)
	return c
}

// fresh makes another database of Multica's shape, which the cluster's DSN leads to from now on.
func (c *cluster) fresh(t *testing.T) *pgx.Conn {
	t.Helper()
	c.names++
	c.name = fmt.Sprintf("multica%d", c.names)
	if err := c.lab.CreateDatabase(context.Background(), c.name, lab.Gen272); err != nil {
		t.Fatal(err)
	}
	return c.connect()
}

// owner is whom a server's files belong to; nil where that is ourselves.
func owner(t *testing.T, path string) *syscall.Credential {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	who := info.Sys().(*syscall.Stat_t)
	if int(who.Uid) == os.Geteuid() {
		return nil
	}
	return &syscall.Credential{Uid: who.Uid, Gid: who.Gid}
}

func (c *cluster) dsn() string { return "postgres://postgres@127.0.0.1:" + c.port + "/" + c.name }

func (c *cluster) connect() *pgx.Conn {
	c.t.Helper()
	conn, err := pgx.Connect(context.Background(), c.dsn())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be gone
	return conn
}

// crash stops the server as a power cut does: nothing is written any more.
func (c *cluster) crash() {
	c.t.Helper()
	pid, err := c.pid()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		c.t.Fatal(err)
	}
	if c.process != nil {
		_ = c.process.Wait() // ends with an error code by design
		c.process = nil
	}
	labtest.Until(c.t, "the server is down", func() error {
		if syscall.Kill(pid, 0) == nil {
			return fmt.Errorf("process %d is still there", pid)
		}
		return nil
	})
}

// halt stops the server as its administrator does.
func (c *cluster) halt() {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(c.bin, "pg_ctl"), "stop", "--pgdata="+c.data, "--mode=fast", "--wait")
	cmd.Dir, cmd.SysProcAttr = c.data, as(c.who)
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("pg_ctl stop: %v: %s", err, out)
	}
	if c.process != nil {
		_ = c.process.Wait() // pg_ctl has seen it end
		c.process = nil
	}
}

func (c *cluster) crashAndStart() { c.crash(); c.start() }

func (c *cluster) pid() (int, error) {
	text, err := os.ReadFile(filepath.Join(c.data, "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(line)
}

// start starts the server again and waits until it answers.
func (c *cluster) start() {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(c.bin, "postgres"), "-D", c.data, "-p", c.port, "-k", c.dir)
	cmd.Dir = c.data
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.who, Setsid: true, Pdeathsig: syscall.SIGQUIT}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.process = cmd
	labtest.Until(c.t, "the server answers", func() error {
		conn, err := pgx.Connect(context.Background(), c.dsn())
		if err != nil {
			return err
		}
		return conn.Close(context.Background())
	})
}

// stop ends the server for good.
func (c *cluster) stop() {
	if c.process != nil {
		_ = c.process.Process.Signal(syscall.SIGQUIT) // an error means that it has ended already
		_ = c.process.Wait()
		c.process = nil
	}
}

// standby makes a streaming standby and waits until it follows.
func (c *cluster) standby() *cluster {
	c.t.Helper()
	dir := filepath.Join(c.dir, "standby")
	s := &cluster{t: c.t, name: c.name, bin: c.bin, dir: c.dir, data: dir, log: filepath.Join(c.dir, "standby.log"), port: freePort(c.t), who: c.who}
	if err := c.lab.BaseBackup(c.t.Context(), dir); err != nil {
		c.t.Fatal(err)
	}
	s.start()
	c.t.Cleanup(s.stop)
	return s
}

// promote makes a standby the primary.
func (c *cluster) promote() {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(c.bin, "pg_ctl"), "promote", "--pgdata="+c.data, "--wait")
	cmd.Dir, cmd.SysProcAttr = c.data, as(c.who)
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("pg_ctl promote: %v: %s", err, out)
	}
}

// as has a command run as whom a server's files belong to.
func as(who *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: who, Pdeathsig: syscall.SIGKILL}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
