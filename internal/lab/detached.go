package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// detachedState is what a detached server leaves in its directory for those who come later.
type detachedState struct {
	Bin string `json:"bin"`
	DSN string `json:"dsn"`
	TCP string `json:"tcp,omitempty"`
}

func stateFile(dir string) string { return filepath.Join(dir, "lab.json") }

// saveState writes the state of a server that is to outlive this process.
func (s *Server) saveState() error {
	text, err := json.Marshal(detachedState{Bin: s.bin, DSN: s.DSN(""), TCP: s.TCPDSN("")})
	if err != nil {
		return fmt.Errorf("encoding the lab's state: %w", err)
	}
	if err := os.WriteFile(stateFile(s.dir), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the lab's state: %w", err)
	}
	return nil
}

// ErrNotRunning says that no detached server was left in a directory.
var ErrNotRunning = errors.New("no lab is running there")

// Attach returns the detached server in dir. It is ErrNotRunning where there never was one, and a
// problem with a hint where there was one that no longer answers. Its Stop does nothing: see StopDetached.
func Attach(ctx context.Context, dir string) (*Server, error) {
	state, err := loadState(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{bin: state.Bin}
	if s.base, err = url.Parse(state.DSN); err != nil {
		return nil, fmt.Errorf("reading the lab's state: %w", err)
	}
	if state.TCP != "" {
		if s.tcp, err = url.Parse(state.TCP); err != nil {
			return nil, fmt.Errorf("reading the lab's state: %w", err)
		}
	}
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return nil, problem.Wrap(err, problem.Unreachable, "multica-lab stop --dir "+dir+", then start it anew", "the lab in %s does not answer", dir)
	}
	return s, conn.Close(ctx)
}

func loadState(dir string) (detachedState, error) {
	var state detachedState
	text, err := os.ReadFile(stateFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return state, ErrNotRunning
	}
	if err != nil {
		return state, fmt.Errorf("reading the lab's state: %w", err)
	}
	if err := json.Unmarshal(text, &state); err != nil {
		return state, fmt.Errorf("reading the lab's state: %w", err)
	}
	return state, nil
}

// StopDetached ends the detached server in dir, running or dead, and removes the directory. It is
// ErrNotRunning where there never was one.
func StopDetached(ctx context.Context, dir string) error {
	state, err := loadState(dir)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	cred, err := unprivileged()
	if err != nil {
		return err
	}
	stop := exec.CommandContext(ctx, filepath.Join(state.Bin, "pg_ctl"), "stop", "--pgdata="+data, "--mode=fast")
	stop.Dir = dir
	stop.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	if out, err := stop.CombinedOutput(); err != nil {
		// A server that died left its pid file behind or none: pg_ctl says so and fails.
		text := string(bytes.TrimSpace(out))
		if !strings.Contains(text, "does not exist") && !strings.Contains(text, "No such process") {
			return fmt.Errorf("stopping the lab: %w: %s", err, text)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the lab's directory: %w", err)
	}
	return nil
}

// Binary returns the path of one of PostgreSQL's programs beside the server's, or its bare name
// for PATH to find where it is not there: some builds leave the clients out.
func (s *Server) Binary(name string) string {
	path := filepath.Join(s.bin, name)
	if _, err := os.Stat(path); s.bin == "" || err != nil {
		return name
	}
	return path
}

// HasDatabase reports whether a database of that name exists.
func (s *Server) HasDatabase(ctx context.Context, name string) (bool, error) {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return false, fmt.Errorf("connecting to the lab's server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil {
		return false, fmt.Errorf("looking for database %s: %w", name, err)
	}
	return exists, nil
}
