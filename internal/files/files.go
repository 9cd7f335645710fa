// Package files opens what a person named as a file and may not be one: a named
// pipe must not hang the program, nor a device or a log file fill its memory.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Limit bounds, in bytes, what is read of a file for a configuration, a secret or a memory.
const Limit = 1 << 20

// ErrTooLarge is of a file beyond Limit.
var ErrTooLarge = fmt.Errorf("it is larger than %d bytes", Limit)

// NoFileError says what is at a path instead of a file.
type NoFileError struct{ What string }

// Error returns what it is, to be read after the path.
func (e *NoFileError) Error() string { return "it is a " + e.What + ", not a file" }

// Read returns the content of a regular file, or nothing for /dev/null, and what
// stat says of it. Its errors are *fs.PathError, *NoFileError and ErrTooLarge.
func Read(path string) ([]byte, fs.FileInfo, error) { return read(path, 0) }

// ReadOwn is Read for a path whose last part must not be a symbolic link: in a
// directory that another user writes, it could lead to anybody's file.
func ReadOwn(path string) ([]byte, fs.FileInfo, error) { return read(path, unix.O_NOFOLLOW) }

func read(path string, flags int) ([]byte, fs.FileInfo, error) {
	file, err := open(path, os.O_RDONLY|flags, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }() // which was only read
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, Limit+1))
	if err != nil {
		return nil, nil, err
	}
	if len(content) > Limit {
		return nil, nil, ErrTooLarge
	}
	return content, info, nil
}

// OpenOwn opens or makes a regular file that is not behind a symbolic link, to read and write.
func OpenOwn(path string, mode fs.FileMode) (*os.File, error) {
	return open(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, mode)
}

// OpenOwnToRead opens a regular file that is not behind a symbolic link, to look at.
func OpenOwnToRead(path string) (*os.File, error) {
	return open(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
}

// SyncDir has what was made, renamed and removed in a directory survive a loss of power.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // nothing was written to it
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil // some network file systems have no such thing
	}
	return err
}

// Check returns what speaks against reading path as a file; nil where it is one
// or does not exist.
func Check(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil // whoever opens it meets the same error
	}
	if what := kind(info); what != "" {
		return &NoFileError{what}
	}
	if info.Size() > Limit {
		return ErrTooLarge
	}
	return nil
}

// open does not wait for the other end of a pipe, and keeps nothing but files.
func open(path string, flags int, mode fs.FileMode) (*os.File, error) {
	file, err := os.OpenFile(path, flags|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, mode)
	if flags&unix.O_NOFOLLOW != 0 && errors.Is(err, unix.ELOOP) {
		return nil, &NoFileError{"symbolic link"}
	}
	if errors.Is(err, unix.EISDIR) {
		return nil, &NoFileError{"directory"}
	}
	if errors.Is(err, unix.ENXIO) {
		return nil, &NoFileError{"socket or a device"}
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		if what := kind(info); what != "" {
			err = &NoFileError{what}
		}
	}
	if err != nil {
		_ = file.Close() // in which nothing was written
		return nil, err
	}
	return file, nil
}

// kind names what is not a file; "" for what is one.
func kind(info fs.FileInfo) string {
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return ""
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(null, info) {
		return ""
	}
	return "device"
}
