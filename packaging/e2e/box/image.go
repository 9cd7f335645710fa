package box

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// basePackages is what every box needs beside Debian's essential packages.
var basePackages = []string{
	"ca-certificates", "dbus", "iproute2", "libnss-systemd", "procps", "sudo", "systemd", "systemd-sysv",
}

// imageAge is how long a tarball is used before it is built anew, to follow the suite's updates.
const imageAge = 7 * 24 * time.Hour

// Image is a minimal Debian system with systemd and some packages.
type Image struct {
	Suite    string   // "bookworm", "trixie"
	Packages []string // beside the base
}

// tarball returns the path of the image's tarball, which it builds unless it is in the cache: the
// directory multica-rollup-e2e below the user's cache directory. E2E_MIRROR names another mirror than
// Debian's own. Building takes place below scratch.
func (i Image) tarball(ctx context.Context, scratch string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir() // CI may have no home
	}
	cache = filepath.Join(cache, "multica-rollup-e2e")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("making the cache of images: %w", err)
	}
	packages := append(slices.Clone(basePackages), i.Packages...)
	slices.Sort(packages)
	packages = slices.Compact(packages)
	sum := sha256.Sum256([]byte(i.Suite + " " + strings.Join(packages, " ")))
	path := filepath.Join(cache, i.Suite+"-"+hex.EncodeToString(sum[:8])+".tar.zst")

	// One builder per tarball; the others wait, then find it.
	lock, err := os.Create(path + ".lock")
	if err != nil {
		return "", fmt.Errorf("locking the image: %w", err)
	}
	defer func() { _ = lock.Close() }() // which lets go of the lock, and has written nothing
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking the image: %w", err)
	}
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) < imageAge {
		if exec.CommandContext(ctx, "zstd", "-tq", path).Run() == nil {
			return path, nil
		}
	}
	if err := build(ctx, i.Suite, packages, scratch, path); err != nil {
		return "", err
	}
	return path, nil
}

// build makes the tarball and puts it at path in one step.
func build(ctx context.Context, suite string, packages []string, scratch, path string) error {
	work, err := os.MkdirTemp(scratch, "image-")
	if err != nil {
		return fmt.Errorf("making a directory to build in: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()     // a temporary directory
	if err := os.Chmod(work, 0o755); err != nil { // apt downloads as the user _apt
		return fmt.Errorf("opening the build directory to apt: %w", err)
	}
	partial := strings.TrimSuffix(path, ".tar.zst") + ".partial.tar.zst" // mmdebstrap compresses by the suffix
	args := []string{
		"--mode=root", "--variant=apt", "--include=" + strings.Join(packages, ","),
		// Each box draws its own machine ID at its first boot.
		`--customize-hook=rm -f "$1/var/lib/dbus/machine-id"; : >"$1/etc/machine-id"`,
		`--customize-hook=echo box >"$1/etc/hostname"; printf '127.0.0.1 localhost box\n::1 localhost\n' >"$1/etc/hosts"`,
		// A box reaches no mirror: apt must not try.
		`--customize-hook=rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*`,
		// Maintainer scripts start services in the box: no policy may forbid it.
		`--customize-hook=rm -f "$1/usr/sbin/policy-rc.d"`,
	}
	if proxy := aptProxy(ctx); proxy != "" {
		args = append(args, fmt.Sprintf(`--aptopt=Acquire::http::Proxy %q;`, proxy))
	}
	args = append(args, suite, partial)
	if mirror := os.Getenv("E2E_MIRROR"); mirror != "" {
		args = append(args, mirror)
	}
	mmdebstrap := exec.CommandContext(ctx, "mmdebstrap", args...)
	mmdebstrap.Env = append(os.Environ(), "TMPDIR="+work)
	if out, err := mmdebstrap.CombinedOutput(); err != nil {
		return fmt.Errorf("building a %s image: %w\n%s", suite, err, out)
	}
	if err := os.Rename(partial, path); err != nil {
		return fmt.Errorf("keeping the image: %w", err)
	}
	return nil
}

// aptProxy is the proxy that the host's apt uses, which mmdebstrap does not take over.
func aptProxy(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "apt-config", "--format", "%v", "dump", "Acquire::http::Proxy").Output()
	if err != nil {
		return "" // no apt on this host
	}
	return strings.TrimSpace(string(out))
}
