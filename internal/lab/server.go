package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options say how to start a server. The zero value is right for tests.
type Options struct {
	// DSN of a running server (a superuser's) to use instead of starting one; all else is ignored.
	DSN string
	// Dir keeps data and socket; it must not exist or be empty. Default: a new temporary directory.
	Dir string
	// TCP listens on 127.0.0.1 besides the unix socket; Port 0 picks a free one.
	TCP  bool
	Port int
	// Durable leaves fsync on. Off, a crash of the host may lose the cluster: fine for tests.
	Durable bool
	// Detach lets the server outlive this process, to be ended by StopDetached.
	Detach bool
	// Settings are added to postgresql.conf, HBA lines are put before the default "trust everybody".
	Settings map[string]string
	HBA      []string
}

// Server is a running PostgreSQL.
type Server struct {
	base *url.URL // DSN without a database
	tcp  *url.URL // the same over TCP, nil where it does not listen

	dir     string
	bin     string
	process *os.Process
	exited  chan struct{}
	watcher io.Closer // closing it, or dying, ends the server
}

// superuser is the role that owns everything in a lab.
const superuser = "postgres"

// startTimeout bounds initdb and the wait for the first connection on a busy host.
const startTimeout = 90 * time.Second

// Start starts a server, or takes the one of Options.DSN. Unless detached it ends with this
// process, however that dies, and its temporary directory with it.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.DSN != "" {
		return reuse(ctx, o.DSN)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	bin, err := findBinaries(ctx)
	if err != nil {
		return nil, err
	}
	cred, err := unprivileged()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, exited: make(chan struct{})}
	if s.dir, err = makeDir(o.Dir, cred); err != nil {
		return nil, err
	}
	if err := s.start(ctx, o, cred); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// start initialises the cluster, launches the server and waits until it answers.
func (s *Server) start(ctx context.Context, o Options, cred *syscall.Credential) error {
	initdb := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "--pgdata="+s.dataDir(), "--username="+superuser,
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir = s.dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("running initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	port := o.Port
	if port == 0 {
		var err error
		if port, err = freePort(ctx); err != nil {
			return err
		}
	}
	if err := s.configure(o, port); err != nil {
		return err
	}
	s.base = &url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/",
		RawQuery: url.Values{"host": {s.dir}, "port": {strconv.Itoa(port)}}.Encode()}
	if o.TCP {
		s.tcp = &url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	}
	if err := s.launch(o, cred); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil || !o.Detach {
		return err
	}
	return s.saveState()
}

// configure writes the lab's settings into the cluster. Its files stay owned by who made them.
func (s *Server) configure(o Options, port int) error {
	listen := "''"
	if o.TCP {
		listen = "'127.0.0.1'"
	}
	durable := "off"
	if o.Durable {
		durable = "on"
	}
	var conf strings.Builder
	for _, kv := range [][2]string{
		{"port", strconv.Itoa(port)}, {"listen_addresses", listen},
		{"unix_socket_directories", "'" + s.dir + "'"}, {"unix_socket_permissions", "0777"},
		{"fsync", durable}, {"synchronous_commit", durable}, {"full_page_writes", durable},
		{"max_connections", "200"}, {"max_prepared_transactions", "20"}, {"wal_level", "replica"},
		{"shared_buffers", "256MB"}, {"max_wal_size", "4GB"}, {"logging_collector", "off"}, {"timezone", "'UTC'"},
	} {
		fmt.Fprintf(&conf, "%s = %s\n", kv[0], kv[1])
	}
	for name, value := range o.Settings {
		fmt.Fprintf(&conf, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	if err := appendFile(filepath.Join(s.dataDir(), "postgresql.conf"), conf.String()); err != nil {
		return err
	}
	if len(o.HBA) == 0 {
		return nil
	}
	hba := filepath.Join(s.dataDir(), "pg_hba.conf")
	rest, err := os.ReadFile(hba)
	if err != nil {
		return fmt.Errorf("reading pg_hba.conf: %w", err)
	}
	lines := strings.Join(o.HBA, "\n") + "\n" + string(rest)
	if err := os.WriteFile(hba, []byte(lines), 0o600); err != nil {
		return fmt.Errorf("writing pg_hba.conf: %w", err)
	}
	return nil
}

// launch starts the postmaster, and a watcher that ends it when this process dies.
func (s *Server) launch(o Options, cred *syscall.Credential) error {
	log, err := os.Create(s.logFile())
	if err != nil {
		return fmt.Errorf("creating the server's log: %w", err)
	}
	defer func() { _ = log.Close() }() // the server has it open
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.dataDir())
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	// A session of its own: a terminal's Ctrl-C is for the client, not for the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred, Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting postgres: %w", err)
	}
	s.process = cmd.Process
	go func() {
		_ = cmd.Wait() // its log says more than its exit status
		close(s.exited)
	}()
	if o.Detach {
		return nil
	}
	return s.watch(cmd.Process.Pid)
}

// watchScript waits for the end of its standard input, which the death of the parent brings about
// however it dies, then ends the server at once and removes its directory. Tests restart servers and
// make standbys below that directory: what has a pid file there is ended too.
const watchScript = `cat >/dev/null; pids=$1
for file in "$2"/*/postmaster.pid "$2"/*/*/postmaster.pid; do
  [ ! -e "$file" ] || pids="$pids $(head -n 1 "$file")"
done
kill -QUIT $pids 2>/dev/null
for pid in $pids; do
  i=0; while kill -0 "$pid" 2>/dev/null && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done
done
rm -rf "$2"`

// watch starts the watcher. It keeps our own identity, which may remove the directory.
func (s *Server) watch(pid int) error {
	cmd := exec.Command("/bin/sh", "-c", watchScript, "sh", strconv.Itoa(pid), s.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("making the watcher's pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the watcher: %w", err)
	}
	s.watcher = stdin
	go func() { _ = cmd.Wait() }() // reaps it; it has nothing to say
	return nil
}

// awaitReady connects until the server answers or has ended.
func (s *Server) awaitReady(ctx context.Context) error {
	for {
		conn, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.exited:
			log, _ := os.ReadFile(s.logFile())
			return fmt.Errorf("postgres ended while starting: %s", bytes.TrimSpace(log))
		case <-ctx.Done():
			return fmt.Errorf("waiting for postgres: %w: %w", ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server at once and removes its directory. On a reused or attached server it does nothing.
func (s *Server) Stop() {
	if s.dir == "" {
		return
	}
	if s.process != nil {
		_ = s.process.Signal(syscall.SIGQUIT) // an error means that it has ended already
		<-s.exited
	}
	if s.watcher != nil {
		_ = s.watcher.Close()
	}
	_ = os.RemoveAll(s.dir) // temporary files: nobody could do anything about a failure
}

// DSN returns the superuser's URL of a database, over the unix socket (or as the reused server's DSN has it).
func (s *Server) DSN(db string) string {
	u := *s.base
	u.Path = "/" + db
	return u.String()
}

// TCPDSN returns the superuser's URL of a database over TCP, "" where the server does not listen there.
func (s *Server) TCPDSN(db string) string {
	if s.tcp == nil {
		return ""
	}
	u := *s.tcp
	u.Path = "/" + db
	return u.String()
}

// Dir returns the directory with the socket, the data and the log; "" on a reused server.
func (s *Server) Dir() string { return s.dir }

// Log returns what the server has logged so far; "" on a reused server.
func (s *Server) Log() (string, error) {
	if s.dir == "" {
		return "", nil
	}
	log, err := os.ReadFile(s.logFile())
	if err != nil {
		return "", fmt.Errorf("reading the server's log: %w", err)
	}
	return string(log), nil
}

func (s *Server) dataDir() string { return filepath.Join(s.dir, "data") }
func (s *Server) logFile() string { return filepath.Join(s.dir, "server.log") }

// reuse returns the server behind dsn, which must be a URL so that the database can be exchanged.
func reuse(ctx context.Context, dsn string) (*Server, error) {
	u, err := url.Parse(dsn)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return nil, errors.New("the lab's DSN must be a URL: postgres://…")
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("connecting to the lab's server: %w", err)
	}
	s := &Server{base: u}
	if u.Host != "" {
		s.tcp = u
	}
	return s, conn.Close(ctx)
}

// makeDir creates the server's directory, owned by whom it runs as. Others may enter it: they
// need the socket.
func makeDir(dir string, cred *syscall.Credential) (string, error) {
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "multica-lab-"); err != nil {
			return "", fmt.Errorf("making the lab's directory: %w", err)
		}
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making the lab's directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("reading the lab's directory: %w", err)
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("the lab's directory %s is not empty", dir)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", fmt.Errorf("resolving the lab's directory: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", fmt.Errorf("opening the lab's directory: %w", err)
	}
	if cred != nil {
		if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
			return "", fmt.Errorf("handing over the lab's directory: %w", err)
		}
	}
	return dir, nil
}

// freePort asks the kernel for a TCP port that nobody listens on right now.
func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer func() { _ = l.Close() }() // only its port is of interest
	return l.Addr().(*net.TCPAddr).Port, nil
}

// appendFile adds text to an existing file, whose owner and mode stay.
func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("opening %s: %w", filepath.Base(path), err)
	}
	if _, err := f.WriteString(text); err != nil {
		_ = f.Close()
		return fmt.Errorf("writing %s: %w", filepath.Base(path), err)
	}
	return f.Close()
}
