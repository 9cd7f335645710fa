//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The addresses are used within the test's own network namespaces alone.
const (
	databaseAddress = "10.77.77.1"
	hostsNetwork    = "10.77.77.0/24"
)

// network is a switch with a database's host and agents' hosts on it, each in
// a network namespace of its own.
type network struct {
	t    *testing.T
	name string // prefix of the namespaces
}

// newNetwork makes the database's namespace, with the switch in it, and one for each host.
func newNetwork(t *testing.T, hosts int) *network {
	t.Helper()
	n := &network{t: t, name: fmt.Sprintf("mrnet%d", os.Getpid())}
	n.namespace(n.database())
	n.ip("-n", n.database(), "link", "add", "switch", "type", "bridge")
	n.ip("-n", n.database(), "address", "add", databaseAddress+"/24", "dev", "switch")
	n.ip("-n", n.database(), "link", "set", "switch", "up")
	for i := range hosts {
		n.namespace(n.host(i))
		n.ip("-n", n.database(), "link", "add", port(i), "type", "veth", "peer", "name", "eth0", "netns", n.host(i))
		n.ip("-n", n.database(), "link", "set", port(i), "master", "switch", "up")
		n.ip("-n", n.host(i), "address", "add", address(i)+"/24", "dev", "eth0")
		n.ip("-n", n.host(i), "link", "set", "eth0", "up")
	}
	return n
}

func (n *network) database() string  { return n.name + "-db" }
func (n *network) host(i int) string { return fmt.Sprintf("%s-h%d", n.name, i) }
func port(i int) string              { return fmt.Sprintf("port%d", i) }
func address(i int) string           { return fmt.Sprintf("10.77.77.%d", 10+i) }

func (n *network) namespace(name string) {
	n.t.Helper()
	n.ip("netns", "add", name)
	n.t.Cleanup(func() { n.ip("netns", "delete", name) })
	n.ip("-n", name, "link", "set", "lo", "up")
}

func (n *network) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s (apt-get install iproute2): %v: %s", strings.Join(args, " "), err, out)
	}
}

// link pulls a host's cable out of the switch, or puts it back: neither side is told.
func (n *network) link(i int, state string) {
	n.t.Helper()
	n.ip("-n", n.database(), "link", "set", port(i), state)
}

// within calls fn in a namespace, which the processes that it starts inherit.
func (n *network) within(name string, fn func() error) {
	n.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		file, err := os.Open("/run/netns/" + name)
		if err == nil {
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
			_ = file.Close() // it was opened for reading
		}
		if err == nil {
			err = fn()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		n.t.Fatalf("in the network namespace %s: %v", name, err)
	}
}

// agent is the packaged program on a host of the network.
type agent struct {
	n                   *network
	number              int
	program, dsn, state string
}

// ended is how a command of an agent ended.
type ended struct {
	from, to time.Time
	code     int
	said     string
}

// command runs the program in the agent's namespace until it ends, or ctx does.
func (a *agent) command(ctx context.Context, args ...string) ended {
	e := ended{from: time.Now()}
	args = append([]string{"netns", "exec", a.n.host(a.number), a.program}, args...)
	cmd := exec.CommandContext(ctx, "ip", append(args, "--as-root", "--config", os.DevNull)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	cmd.Env = append(os.Environ(), "MULTICA_ROLLUP_DSN="+a.dsn, "MULTICA_ROLLUP_STATE_DIR="+a.state, "MULTICA_ROLLUP_ENGINE=set",
		// So that many slices, and an answer that does not come, fit a test.
		"MULTICA_ROLLUP_WALK_STATEMENT_TIMEOUT=4s", "MULTICA_ROLLUP_WALK_SLICE_TARGET=1s")
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
		a.n.t.Errorf("%v: %v", args, err)
	}
	e.to, e.code, e.said = time.Now(), cmd.ProcessState.ExitCode(), string(out)
	return e
}

// packaged unpacks the program from the package that was built.
func packaged(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	deb := find(t, need(t, newVariable), "*_"+runtime.GOARCH+".deb")
	if out, err := exec.Command("dpkg-deb", "--extract", deb, dir).CombinedOutput(); err != nil {
		t.Fatalf("unpacking %s: %v: %s", deb, err, out)
	}
	return filepath.Join(dir, "usr/bin/multica-rollup")
}
