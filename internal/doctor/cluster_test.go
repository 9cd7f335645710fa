package doctor_test

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
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// cluster is a server of a test's own, which it may stop and restart.
type cluster struct {
	t      *testing.T
	server *lab.Server
	owner  *syscall.SysProcAttr // whom the server runs as

	pooler      *bouncer // before it, where there is one
	environment []string // of the server, when it is next started by ctl
	clockFile   string   // by how much its clock is wrong
}

// newCluster starts a server with these settings.
func newCluster(t *testing.T, settings map[string]string) *cluster {
	t.Helper()
	server, err := lab.Start(t.Context(), lab.Options{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, server: server}
	info, err := os.Stat(filepath.Join(server.Dir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 {
		c.owner = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	t.Cleanup(func() {
		// The lab knows only the process that it started itself.
		stop := exec.Command(server.Binary("pg_ctl"), "-D", filepath.Join(server.Dir(), "data"), "-m", "immediate", "-w", "stop")
		stop.Dir, stop.SysProcAttr = "/", c.owner
		if out, err := stop.CombinedOutput(); err != nil && !strings.Contains(string(out), "Is server running") {
			t.Errorf("stopping the server: %v\n%s", err, out)
		}
		server.Stop()
	})
	return c
}

// as runs one of PostgreSQL's programs as the server's owner.
func (c *cluster) as(program string, args ...string) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), c.server.Binary(program), args...)
	cmd.Dir, cmd.SysProcAttr = "/", c.owner
	cmd.Env = append(os.Environ(), c.environment...)
	// pg_ctl's server inherits standard output: a pipe would never end.
	log, err := os.CreateTemp(c.t.TempDir(), program)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(log.Name())
		c.t.Fatalf("%s %q: %v\n%s", program, args, err, text)
	}
}

// ctl stops, starts or restarts the server.
func (c *cluster) ctl(verb string) {
	c.t.Helper()
	args := []string{"-D", filepath.Join(c.server.Dir(), "data"), "-w", "-l", filepath.Join(c.server.Dir(), "data", "ctl.log")}
	if verb != "start" {
		args = append(args, "-m", "fast")
	}
	c.as("pg_ctl", append(args, verb)...)
}

// set appends settings to the server's configuration.
func (c *cluster) set(lines ...string) {
	c.t.Helper()
	f, err := os.OpenFile(filepath.Join(c.server.Dir(), "data", "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("\n" + strings.Join(lines, "\n") + "\n"); err != nil {
		c.t.Fatal(err)
	}
}

// patient makes a well installation on the cluster, in the database multica, with no timer.
func (c *cluster) patient(gen lab.Generation) *patient {
	c.t.Helper()
	if err := c.server.CreateDatabase(c.t.Context(), "multica", gen); err != nil {
		c.t.Fatal(err)
	}
	p := admit(c.t, gen, c.server, "multica", c.connect("multica"))
	p.units = nil
	return p
}

// connect opens a session of the superuser, closed with the test.
func (c *cluster) connect(database string) *pgx.Conn {
	c.t.Helper()
	conn, err := pgx.Connect(c.t.Context(), c.server.DSN(database))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// do runs a statement as the superuser, in a session of its own.
func (c *cluster) do(database, sql string) {
	c.t.Helper()
	if _, err := c.connect(database).Exec(c.t.Context(), sql); err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
}

// await waits until a query returns true.
func (c *cluster) await(database, sql string) {
	c.t.Helper()
	conn := c.connect(database)
	for deadline := time.Now().Add(labtest.Guard); ; time.Sleep(500 * time.Millisecond) {
		var done bool
		if err := conn.QueryRow(c.t.Context(), sql).Scan(&done); err != nil {
			c.t.Fatalf("%s: %v", sql, err)
		}
		if done {
			return
		}
		if time.Now().After(deadline) {
			log, _ := c.server.Log()
			c.t.Fatalf("%s did not come true; the server's log:\n%s", sql, log)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// address returns the directory of a lab's socket, and its port.
func address(t *testing.T, dsn string) (dir, port string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("host"), u.Query().Get("port")
}

// standby makes a standby of the cluster and returns its socket's directory and port.
func (c *cluster) standby() (dir, port string) {
	c.t.Helper()
	dir, err := os.MkdirTemp(c.server.Dir(), "standby-") // where the lab ends it if this process is killed
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if c.owner != nil {
		if err := os.Chown(dir, int(c.owner.Credential.Uid), int(c.owner.Credential.Gid)); err != nil {
			c.t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	if err := c.server.BaseBackup(c.t.Context(), data); err != nil {
		c.t.Fatal(err)
	}
	port = strconv.Itoa(freePort(c.t))
	c.as("pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", fmt.Sprintf("-c port=%s -c unix_socket_directories=%s", port, dir), "start")
	c.t.Cleanup(func() {
		stop := exec.Command(c.server.Binary("pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
		stop.Dir, stop.SysProcAttr = "/", c.owner
		if out, err := stop.CombinedOutput(); err != nil {
			c.t.Errorf("stopping the standby: %v\n%s", err, out)
		}
	})
	return dir, port
}

// bouncer runs PgBouncer in front of the cluster, in one pool mode after the other.
type bouncer struct {
	c         *cluster
	dir, port string
	process   *exec.Cmd
}

func (c *cluster) bouncer(mode string) *bouncer {
	c.t.Helper()
	dir, err := os.MkdirTemp("", "bouncer-")
	if err != nil {
		c.t.Fatal(err)
	}
	if c.owner != nil {
		if err := os.Chown(dir, int(c.owner.Credential.Uid), int(c.owner.Credential.Gid)); err != nil {
			c.t.Fatal(err)
		}
	}
	b := &bouncer{c: c, dir: dir, port: strconv.Itoa(freePort(c.t))}
	b.start(mode)
	c.t.Cleanup(func() {
		b.stop()
		_ = os.RemoveAll(dir)
	})
	return b
}

// reload changes the mode as an administrator does: in the file, and by RELOAD on the console.
func (b *bouncer) reload(mode string) {
	t := b.c.t
	t.Helper()
	b.configure(mode)
	config, err := pgx.ParseConfig(strings.Replace(b.dsn(), "/multica?", "/pgbouncer?", 1))
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	console, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close(context.Background())
	if _, err := console.Exec(t.Context(), "RELOAD"); err != nil {
		t.Fatal(err)
	}
}

// configure writes the configuration and returns its path.
func (b *bouncer) configure(mode string) string {
	t := b.c.t
	t.Helper()
	host, port := address(t, b.c.server.DSN("postgres"))
	ini := filepath.Join(b.dir, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\nmultica = host=%s port=%s user=postgres\n[pgbouncer]\nlisten_port = %s\nunix_socket_dir = %s\nauth_type = any\nadmin_users = postgres\npool_mode = %s\n",
		host, port, b.port, b.dir, mode)
	if err := os.WriteFile(ini, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return ini
}

func (b *bouncer) start(mode string) {
	t := b.c.t
	t.Helper()
	ini := b.configure(mode)
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // not on everybody's path
	}
	b.process = exec.Command(program, "-q", ini)
	b.process.Dir, b.process.SysProcAttr = "/", b.c.owner
	if err := b.process.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(labtest.Guard); ; time.Sleep(50 * time.Millisecond) {
		conn, err := pgx.Connect(t.Context(), b.dsn())
		if err == nil {
			_ = conn.Close(t.Context())
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("PgBouncer does not answer: %v", err)
		}
	}
}

func (b *bouncer) stop() {
	_ = b.process.Process.Kill() // an error means that it has ended
	_ = b.process.Wait()
}

func (b *bouncer) dsn() string {
	return "postgres://postgres@/multica?host=" + b.dir + "&port=" + b.port
}
