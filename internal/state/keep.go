package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"github.com/multica-rollup/multica-rollup/internal/files"
)

// fileMode is that of every file kept here; room is what a run needs for them at least, in bytes.
const (
	fileMode = 0o640
	room     = 8 << 10
)

// makeDir makes the directory, and gives it to whoever owns what it is in. As root
// it refuses a symbolic link that somebody else could have laid.
func makeDir(dir string) error {
	err := os.MkdirAll(filepath.Dir(dir), 0o750)
	if err == nil {
		err = os.Mkdir(dir, 0o750)
	}
	made := err == nil
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("making the state directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("looking at the state directory: %w", err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 && info.Mode()&os.ModeSymlink != 0 && stat.Uid != 0 {
		return fmt.Errorf("opening the state directory: %s: it is a symbolic link of another user", dir)
	}
	if made {
		return give(dir, filepath.Dir(dir))
	}
	return nil
}

// give makes path that of the owner of directory, where root made it: what the
// service's user cannot read or replace would be in its way from then on.
func give(path, directory string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	var stat unix.Stat_t
	if err := unix.Stat(directory, &stat); err != nil {
		return fmt.Errorf("looking at the owner of %s: %w", directory, err)
	}
	if err := unix.Lchown(path, int(stat.Uid), int(stat.Gid)); err != nil {
		return fmt.Errorf("giving %s to the owner of %s: %w", path, directory, err)
	}
	return nil
}

// try writes, for a moment, as much as a run may have to remember: a full file
// system shows here, and not in the middle of the work.
func (s *Store) try() (err error) {
	if _, err := os.Lstat(s.path(".lock")); err == nil {
		lock, err := s.lock()
		if err != nil {
			return err
		}
		_ = lock.Close() // only whether it can be had was asked
	}
	probe, err := os.CreateTemp(s.dir, "."+filepath.Base(s.path(".json"))+"*")
	if err != nil {
		return fmt.Errorf("writing to the state directory: %w", err)
	}
	defer func() {
		_ = probe.Close() // after an error of its own, which counts
		err = errors.Join(err, os.Remove(probe.Name()))
	}()
	if _, err := probe.Write(make([]byte, room)); err != nil {
		return fmt.Errorf("writing to the state directory: %w", err)
	}
	if err := probe.Sync(); err != nil { // some file systems find out only now
		return fmt.Errorf("writing to the state directory: %w", err)
	}
	return nil
}

// lock opens the file that Update locks.
func (s *Store) lock() (*os.File, error) {
	path := s.path(".lock")
	file, err := files.OpenOwn(path, fileMode)
	if err != nil {
		return nil, fmt.Errorf("locking the state directory: %s: %w", path, err)
	}
	if err := give(path, s.dir); err != nil {
		_ = file.Close() // nothing was written to it
		return nil, err
	}
	return file, nil
}

// replace puts content in the place of the file at path, whole or not at all.
func replace(path string, content []byte) error {
	dir := filepath.Dir(path)
	file, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir), renameio.WithPermissions(fileMode))
	if err != nil {
		return err
	}
	defer func() { _ = file.Cleanup() }() // nothing is left to do after the rename
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := give(file.Name(), dir); err != nil {
		return err
	}
	return file.CloseAtomicallyReplace()
}
