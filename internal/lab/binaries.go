package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// The major versions the lab can run: NULLS NOT DISTINCT needs 15, newer than 18 is untried.
const (
	minVersion = 15
	maxVersion = 18
)

// findBinaries returns the directory that holds initdb and postgres of the newest usable version.
// The environment's MULTICA_LAB_PGBIN is a first choice, then come the places where distributions
// put them, then PATH.
func findBinaries(ctx context.Context) (string, error) {
	if dir := os.Getenv("MULTICA_LAB_PGBIN"); dir != "" {
		if _, err := binaryVersion(ctx, dir); err != nil {
			return "", problem.Wrap(err, problem.Config, "set MULTICA_LAB_PGBIN to a directory with initdb and postgres of version 15 to 18",
				"no usable PostgreSQL in MULTICA_LAB_PGBIN=%s: %v", dir, err)
		}
		return dir, nil
	}
	var dirs []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql@*/bin"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("globbing %s: %w", pattern, err)
		}
		dirs = append(dirs, found...)
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	best, bestVersion := "", 0
	for _, dir := range dirs {
		if v, err := binaryVersion(ctx, dir); err == nil && v > bestVersion {
			best, bestVersion = dir, v
		}
	}
	if best == "" {
		return "", problem.New(problem.Config, "apt install postgresql, or set MULTICA_LAB_PGBIN to its bin directory, or give a database server by DSN",
			"no PostgreSQL %d to %d found on this host", minVersion, maxVersion)
	}
	return best, nil
}

// binaryVersion returns the major version of the server in dir, and an error where it is
// incomplete or outside the versions that the lab can run.
func binaryVersion(ctx context.Context, dir string) (int, error) {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return 0, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("asking postgres for its version: %w", err)
	}
	fields := strings.Fields(string(out)) // postgres (PostgreSQL) 15.14 (Debian …)
	if len(fields) < 3 {
		return 0, fmt.Errorf("unexpected version %q", strings.TrimSpace(string(out)))
	}
	digits := strings.IndexFunc(fields[2], func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(fields[2])
	}
	major, err := strconv.Atoi(fields[2][:digits])
	if err != nil {
		return 0, fmt.Errorf("unexpected version %q", fields[2])
	}
	if major < minVersion || major > maxVersion {
		return 0, fmt.Errorf("version %d is not one of %d to %d", major, minVersion, maxVersion)
	}
	return major, nil
}

// unprivileged returns whom the server runs as: nil for ourselves, and where we are root, whom
// PostgreSQL refuses, the user postgres or else nobody.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("looking up user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, problem.New(problem.Config, "run as another user than root", "no user to run PostgreSQL as: neither postgres nor nobody exists")
}
