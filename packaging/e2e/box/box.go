// Package box boots a real systemd as PID 1 of a throw-away Debian root file system, for end-to-end
// tests of packages and units. It needs root, mmdebstrap, zstd and systemd-nspawn.
//
// A box has a network of its own that reaches nothing: its ports clash with nobody's.
package box

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

//go:embed boot.sh
var bootScript string

//go:embed enter.sh
var enterScript string

//go:embed sweep.sh
var sweepScript string

// bootLimit is far above the 3 s that a boot takes, for machines that are busy.
const bootLimit = 90 * time.Second

// Box is one root file system, booted or not. It is not safe for concurrent Boot and Stop.
type Box struct {
	dir    string
	name   string // of the machine and its cgroup
	leader int    // the box's PID 1, as the host counts; 0 while it is stopped
	nspawn *os.Process
	ended  chan struct{} // closed when nspawn has been reaped
}

// Root is the path of the box's root file system on the host: files can be read and written there
// whether the box runs or not, except below /tmp and /run, which are mounts of its own.
func (b *Box) Root() string { return filepath.Join(b.dir, "rootfs") }

// Console is what systemd and nspawn wrote since the last boot.
func (b *Box) Console() string {
	text, err := os.ReadFile(b.consoleFile())
	if err != nil {
		return ""
	}
	return string(text)
}

func (b *Box) consoleFile() string { return filepath.Join(b.dir, "console.log") }

// New unpacks the image into a fresh directory below scratch.
func New(ctx context.Context, image Image, scratch string) (*Box, error) {
	tarball, err := image.tarball(ctx, scratch)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(scratch, "box-"+image.Suite+"-")
	if err != nil {
		return nil, fmt.Errorf("making a box's directory: %w", err)
	}
	sum := sha256.Sum256([]byte(dir))
	b := &Box{dir: dir, name: "mrbox-" + hex.EncodeToString(sum[:6])}
	if err := os.Mkdir(b.Root(), 0o755); err != nil {
		return nil, fmt.Errorf("making a box's root: %w", err)
	}
	unpack := exec.CommandContext(ctx, "tar", "-C", b.Root(), "--zstd", "--numeric-owner",
		"--xattrs", "--xattrs-include=*", "-xpf", tarball)
	if out, err := unpack.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("unpacking %s: %w: %s", tarball, err, out)
	}
	return b, nil
}

// Boot starts systemd and returns when it has finished starting up. A degraded system is an error
// that names the failed units.
func (b *Box) Boot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	if err := b.start(); err != nil {
		return err
	}
	for b.leader = b.findLeader(); b.leader == 0 || !b.answers(); b.leader = b.findLeader() {
		select {
		case <-b.ended:
			return fmt.Errorf("the box ended while booting; its console:\n%s", b.Console())
		case <-ctx.Done():
			return fmt.Errorf("the box did not boot in %s; its console:\n%s", bootLimit, b.Console())
		case <-time.After(20 * time.Millisecond):
		}
	}
	for {
		// --wait needs the bus, which may not be up yet: then it answers nothing useful.
		result, err := b.Run(ctx, "systemctl", "is-system-running", "--wait")
		if err != nil {
			return fmt.Errorf("waiting for the box to boot: %w", err)
		}
		switch strings.TrimSpace(result.Stdout) {
		case "running":
			return nil
		case "degraded", "maintenance":
			failed, err := b.Run(ctx, "systemctl", "--failed", "--no-pager", "--no-legend", "--plain")
			return errors.Join(fmt.Errorf("the box is up, but these units failed: %s", failed.Stdout), err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the box did not finish booting in %s; its console:\n%s", bootLimit, b.Console())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// start runs nspawn. The kernel signals nspawn when the thread that started it ends, so that boxes do
// not outlive a test binary that was killed: that thread is kept for the box's whole life.
func (b *Box) start() error {
	console, err := os.Create(b.consoleFile())
	if err != nil {
		return fmt.Errorf("making the console's file: %w", err)
	}
	nspawn := exec.Command("unshare", "--mount", "--propagation", "private", "--",
		"bash", "-c", bootScript, "boot.sh", b.name, b.Root())
	nspawn.Stdout, nspawn.Stderr = console, console
	nspawn.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	ended := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer func() { _ = console.Close() }() // nspawn has it open
		err := nspawn.Start()
		started <- err
		if err == nil {
			_ = nspawn.Wait() // how nspawn ends says nothing that the console does not
			close(ended)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting systemd-nspawn: %w", err)
	}
	b.nspawn, b.ended = nspawn.Process, ended
	return nil
}

// findLeader looks for the child of nspawn that is PID 1 of a PID namespace of its own.
func (b *Box) findLeader() int {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", b.nspawn.Pid, b.nspawn.Pid))
	if err != nil {
		return 0
	}
	for _, child := range strings.Fields(string(children)) {
		status, err := os.ReadFile("/proc/" + child + "/status")
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			pids := strings.Fields(line)
			if len(pids) > 2 && pids[0] == "NSpid:" && pids[len(pids)-1] == "1" {
				var pid int
				if _, err := fmt.Sscan(child, &pid); err == nil {
					return pid
				}
			}
		}
	}
	return 0
}

// answers tells whether the box's systemd takes requests.
func (b *Box) answers() bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d/root/run/systemd/private", b.leader))
	return err == nil
}

// Stop shuts the box down in good order, as a host's administrator does, and kills what does not end.
func (b *Box) Stop(ctx context.Context) error {
	if b.nspawn == nil {
		return nil
	}
	if err := b.nspawn.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping the box: %w", err)
	}
	return b.wait(ctx)
}

// Reboot does what `systemctl reboot` does: nspawn ends with the system in it, and is started again.
func (b *Box) Reboot(ctx context.Context) error {
	if _, err := b.Run(ctx, "systemctl", "reboot", "--no-block"); err != nil {
		return err
	}
	if err := b.wait(ctx); err != nil {
		return err
	}
	return b.Boot(ctx)
}

// wait returns when the box has ended and nothing is left of it but its files.
func (b *Box) wait(ctx context.Context) error {
	select {
	case <-b.ended:
	case <-ctx.Done():
	case <-time.After(bootLimit):
	}
	sweep := exec.Command("unshare", "--mount", "--propagation", "private", "--",
		"bash", "-c", sweepScript, "sweep.sh", b.name)
	if out, err := sweep.CombinedOutput(); err != nil {
		return fmt.Errorf("sweeping up after the box: %w: %s", err, out)
	}
	<-b.ended
	b.nspawn, b.leader = nil, 0
	return nil
}

// Destroy stops the box and removes its files.
func (b *Box) Destroy(ctx context.Context) error {
	return errors.Join(b.Stop(ctx), os.RemoveAll(b.dir))
}
