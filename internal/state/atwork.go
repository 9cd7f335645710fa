package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/multica-rollup/multica-rollup/internal/files"
)

// atWorkSuffix ends the name of the file that a backfill at work holds a lock on.
// The kernel releases that when the process ends, however it ends; so the age of
// a checkpoint says nothing, and nobody asks for it.
const atWorkSuffix = ".backfill.lock"

// Who only looks takes the lock for an instant: a backfill that begins just then tries again.
const (
	beginTries = 20
	beginPause = 5 * time.Millisecond
)

// Work is a backfill's hold on the files of its database.
type Work struct{ file *os.File }

// AtWorkError is another backfill that works with the same files.
type AtWorkError struct {
	PID int // by its own count, 0 where it is not known
}

func (e *AtWorkError) Error() string {
	if e.PID == 0 {
		return "a backfill of this database is at work already"
	}
	return fmt.Sprintf("a backfill of this database is at work already, as process %d", e.PID)
}

// BeginBackfill notes that a backfill is at work until the returned Work ends, or
// this process does. Its error is an *AtWorkError where one is.
func (s *Store) BeginBackfill() (*Work, error) {
	path := s.path(atWorkSuffix)
	file, err := files.OpenOwn(path, fileMode)
	if err != nil {
		return nil, fmt.Errorf("noting that a backfill is at work: %s: %w", path, err)
	}
	err = give(path, s.dir)
	for tries := 0; err == nil; tries++ {
		if err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			break
		}
		if errors.Is(err, unix.EWOULDBLOCK) && tries < beginTries {
			time.Sleep(beginPause)
			err = nil
		}
	}
	if err == nil {
		err = errors.Join(file.Truncate(0), writeAt(file, strconv.Itoa(os.Getpid())+"\n"))
	} else if errors.Is(err, unix.EWOULDBLOCK) {
		err = &AtWorkError{PID: pidIn(path)}
	}
	if err != nil {
		_ = file.Close() // which ends the lock
		return nil, fmt.Errorf("noting that a backfill is at work: %w", err)
	}
	return &Work{file: file}, nil
}

// End notes that the backfill is not at work any more. The file stays: who removed
// it could remove one that another has begun to hold.
func (w *Work) End() {
	if w != nil {
		_ = w.file.Close() // which ends the lock
	}
}

// BackfillAtWork says whether a backfill works with these files. An error means
// that it cannot be seen.
func (s *Store) BackfillAtWork() (bool, error) {
	path := s.path(atWorkSuffix)
	file, err := files.OpenOwnToRead(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking whether a backfill is at work: %s: %w", path, err)
	}
	defer func() { _ = file.Close() }() // which ends the lock
	// Shared, so that those who look do not see each other.
	err = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking whether a backfill is at work: %s: %w", path, err)
	}
	return false, nil
}

func writeAt(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}

// pidIn returns the process that a file names, 0 where it cannot be told.
func pidIn(path string) int {
	b, _, err := files.ReadOwn(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}
