package box

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Result is what a command left behind.
type Result struct {
	Stdout, Stderr string
	Exit           int
}

// Run runs a command as root inside the booted box. A command that fails is no error, one that could
// not be run is.
func (b *Box) Run(ctx context.Context, command ...string) (Result, error) {
	return b.RunInput(ctx, nil, command...)
}

// RunInput is Run with a standard input.
func (b *Box) RunInput(ctx context.Context, stdin io.Reader, command ...string) (Result, error) {
	if b.leader == 0 {
		return Result{}, errors.New("the box is not running")
	}
	args := append([]string{"--mount", "--propagation", "private", "--",
		"bash", "-c", enterScript, "enter.sh", b.name, strconv.Itoa(b.leader)}, command...)
	enter := exec.CommandContext(ctx, "unshare", args...)
	var stdout, stderr bytes.Buffer
	enter.Stdin, enter.Stdout, enter.Stderr = stdin, &stdout, &stderr
	err := enter.Run()
	result := Result{stdout.String(), stderr.String(), enter.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		return result, fmt.Errorf("running %s in the box: %w", strings.Join(command, " "), errors.Join(ctx.Err(), err))
	}
	return result, nil
}

// Copy puts a file of the host into the box as root's, with the given mode. The destination must not
// be below /tmp or /run.
func (b *Box) Copy(source, destination string, mode os.FileMode) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("copying into the box: %w", err)
	}
	return b.Write(destination, content, mode)
}

// Write makes a file in the box, and its directories. The destination must not be below /tmp or /run.
func (b *Box) Write(destination string, content []byte, mode os.FileMode) error {
	path := filepath.Join(b.Root(), destination)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing into the box: %w", err)
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		return fmt.Errorf("writing into the box: %w", err)
	}
	return os.Chmod(path, mode) // whatever the umask and the file that was there
}
