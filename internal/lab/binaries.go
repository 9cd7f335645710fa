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

	"github.com/multica-rollup/multica-rollup/internal/lab/lacks"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// The major versions the lab can run: NULLS NOT DISTINCT needs 15, newer than 18 is untried.
const (
	minVersion = 15
	maxVersion = 18
)

// VersionVariable names the environment variable that chooses the major version of the lab's server.
const VersionVariable = "MULTICA_LAB_POSTGRES"

// bareRoot is where packaging/dev/deps.sh puts the builds of PostgreSQL from npm, a directory for each major
// version. They lack what package lacks lists, so they are used only where their version is asked for.
const bareRoot = "/var/cache/multica-lab/postgresql"

// Lacks reports whether the PostgreSQL that Start would run is one that is known to come without a part,
// and what a test says that is not run for it.
func Lacks(ctx context.Context, part string) (reason string, known bool, err error) {
	bin, err := findBinaries(ctx)
	if err != nil {
		return "", false, err
	}
	version, err := binaryVersion(ctx, bin)
	if err != nil || !strings.HasPrefix(bin, bareRoot+"/") || !lacks.Listed(version, part) {
		return "", false, err
	}
	return lacks.Reason(version, part), true, nil
}

// wantedVersion is the major version that the environment asks for, 0 for the newest.
func wantedVersion() (int, error) {
	text := os.Getenv(VersionVariable)
	if text == "" {
		return 0, nil
	}
	version, err := strconv.Atoi(text)
	if err != nil || version < minVersion || version > maxVersion {
		return 0, problem.New(problem.Config, fmt.Sprintf("set %s to a major version from %d to %d", VersionVariable, minVersion, maxVersion),
			"%s=%s is no version that the lab can run", VersionVariable, text)
	}
	return version, nil
}

// findBinaries returns the directory that holds initdb and postgres of the version that the environment's
// MULTICA_LAB_POSTGRES asks for, by default the newest usable one. MULTICA_LAB_PGBIN is a first choice, then
// come the places where distributions put them, then PATH.
func findBinaries(ctx context.Context) (string, error) {
	if dir := os.Getenv("MULTICA_LAB_PGBIN"); dir != "" {
		if _, err := binaryVersion(ctx, dir); err != nil {
			return "", problem.Wrap(err, problem.Config, "set MULTICA_LAB_PGBIN to a directory with initdb and postgres of version 15 to 18",
				"no usable PostgreSQL in MULTICA_LAB_PGBIN=%s: %v", dir, err)
		}
		return dir, nil
	}
	wanted, err := wantedVersion()
	if err != nil {
		return "", err
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
	if wanted != 0 {
		dirs = append(dirs, filepath.Join(bareRoot, strconv.Itoa(wanted), "native", "bin"))
	}
	best, bestVersion := "", 0
	for _, dir := range dirs {
		if v, err := binaryVersion(ctx, dir); err == nil && v > bestVersion && (wanted == 0 || v == wanted) {
			best, bestVersion = dir, v
		}
	}
	if best == "" && wanted != 0 {
		return "", problem.New(problem.Config, fmt.Sprintf("packaging/dev/deps.sh postgres-%d", wanted), "no PostgreSQL %d found on this host", wanted)
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
