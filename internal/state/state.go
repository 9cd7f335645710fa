// Package state stores what the agent must remember between runs and the
// database has no room for: package ledger's memory and the checkpoint of an
// interrupted backfill. Everything here can be lost at the price of work done
// again; nothing of it is needed to be right about what comes next.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/multica-rollup/multica-rollup/internal/files"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

// version of the files' form. A newer one is set aside; there was none before.
const version = 1

// checkpointSuffix ends the name of a checkpoint: resume-backfills looks for it.
const checkpointSuffix = ".backfill.json"

// Store keeps the files of one database in one directory.
type Store struct {
	dir     string
	names   Names
	target  string // how the database is reached
	looking bool   // made by Inspect: nothing is set aside
	told    error  // what adopt found, until Load has told it
	syncDir func(dir string) error
}

// Dir returns where state is kept: configured, else $STATE_DIRECTORY (systemd),
// else /var/lib/multica-rollup where it can be written, else below the user's
// own state directory.
func Dir(configured string) string {
	if configured != "" {
		return configured
	}
	if d := os.Getenv("STATE_DIRECTORY"); d != "" {
		return strings.Split(d, ":")[0]
	}
	const packaged = "/var/lib/multica-rollup"
	if unix.Access(packaged, unix.W_OK) == nil {
		return packaged
	}
	if d := os.Getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "multica-rollup")
	}
	// The service's user has its home there: where that cannot be written, it has nowhere else.
	if home, err := os.UserHomeDir(); err == nil && home != "" && home != "/" && home != packaged {
		return filepath.Join(home, ".local", "state", "multica-rollup")
	}
	return packaged
}

// Open makes the directory if need be and checks that it can be written and has
// room. target is how the database is reached.
func Open(dir string, names Names, target string) (*Store, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return nil, fmt.Errorf("writing to the state directory %s: %w", dir, err)
	}
	s := &Store{dir: dir, names: names, target: target, syncDir: files.SyncDir}
	sweep(s.path(".json"), s.CheckpointPath())
	if err := s.try(); err != nil {
		return nil, err
	}
	s.adopt()
	return s, nil
}

// abandoned is an age at which nobody is writing a temporary file any more.
const abandoned = time.Hour

// sweep removes the temporary files of writers that were killed before they
// could rename them. What cannot be removed is left: it is in nobody's way.
func sweep(finals ...string) {
	for _, final := range finals {
		left, err := filepath.Glob(filepath.Join(filepath.Dir(final), "."+filepath.Base(final)+"[0-9]*"))
		if err != nil {
			continue // the directory's name is no pattern
		}
		for _, path := range left {
			if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > abandoned {
				_ = os.Remove(path)
			}
		}
	}
}

// Inspect returns a store for reading alone: it makes and checks nothing, and
// leaves every file where it is. Where nobody has worked since the program was
// upgraded, it reads what the earlier version left.
func Inspect(dir string, names Names, target string) *Store {
	s := &Store{dir: dir, names: names, target: target, looking: true, syncDir: files.SyncDir}
	earlier := filepath.Join(dir, names.earlier)
	if !exists(s.path(".json")) && exists(earlier+".json") && s.earlier(earlier+".json") == nil {
		s.names.file = names.earlier
	}
	return s
}

// Dir returns the directory of the store.
func (s *Store) Dir() string { return s.dir }

func (s *Store) path(suffix string) string { return filepath.Join(s.dir, s.names.file+suffix) }

// CheckpointPath is the file that keeps an unfinished backfill's checkpoint.
func (s *Store) CheckpointPath() string { return s.path(checkpointSuffix) }

// origin is the head of every file that is written here.
func (s *Store) origin() ledger.Origin {
	return ledger.Origin{Version: version, Database: s.target, Name: s.names.database}
}

// Load reads the memory. A missing file is an empty memory; one that is not used
// is set aside and reported by an *UnusableError beside an empty memory.
func (s *Store) Load() (ledger.Memory, error) {
	m := ledger.Memory{Origin: s.origin()}
	err := s.read(s.path(".json"), &m, &m.Origin, func() bool { return true })
	if err == nil && s.told != nil {
		err, s.told = s.told, nil
	}
	if err != nil {
		return ledger.Memory{Origin: s.origin()}, err
	}
	return m, nil
}

// Update reads the memory, has it changed and writes it, under a lock that
// keeps other processes of this host out. On a nil return it is on disk.
func (s *Store) Update(change func(*ledger.Memory)) error {
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("locking the state directory: %w", err)
	}
	m, err := s.Load()
	if err != nil && !Unusable(err) {
		return err
	}
	change(&m)
	m.Origin = s.origin()
	return s.write(s.path(".json"), m)
}

// LoadCheckpoint reads the checkpoint of an unfinished backfill, nil where there is none.
// One that is not used is set aside and reported by an *UnusableError.
func (s *Store) LoadCheckpoint() (*ledger.Checkpoint, error) {
	var p ledger.Checkpoint
	err := s.read(s.CheckpointPath(), &p, &p.Origin, p.Sound)
	if err != nil || p.Version == 0 {
		return nil, err
	}
	return &p, nil
}

// SaveCheckpoint writes the checkpoint of an unfinished backfill. What is there
// must have been loaded, so that it is ours.
func (s *Store) SaveCheckpoint(p ledger.Checkpoint) error {
	p.Origin = s.origin()
	return s.write(s.CheckpointPath(), p)
}

// ClearCheckpoint removes the checkpoint: the backfill is done, or starts over.
func (s *Store) ClearCheckpoint() error {
	if _, err := s.LoadCheckpoint(); err != nil { // what is not ours has been set aside
		if Unusable(err) {
			return nil
		}
		return err
	}
	err := os.Remove(s.CheckpointPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.syncDir(s.dir)
	}
	if err != nil {
		return fmt.Errorf("removing the backfill's checkpoint: %w", err)
	}
	return nil
}

// ClearLostCheckpoints forgets the checkpoints of databases that have given way to this one:
// after a restore or pg_upgrade the same database is in another cluster, and
// nobody would ever finish them. A service's directory is for one database
// alone: another's is set aside there, since it would be resumed at each boot.
// It returns what is gone; what cannot be removed is in nobody's way.
func (s *Store) ClearLostCheckpoints() (removed []string) {
	paths, err := filepath.Glob(filepath.Join(s.dir, "*"+checkpointSuffix))
	if err != nil {
		return nil // the directory's name is no pattern
	}
	for _, path := range paths {
		b, _, err := files.ReadOwn(path)
		var head struct{ ledger.Origin }
		if path == s.CheckpointPath() || err != nil || json.Unmarshal(b, &head) != nil {
			continue
		}
		switch {
		case head.Database == s.target && head.Of(s.origin()) && head.Version <= version:
			err = os.Remove(path)
		case os.Getenv("STATE_DIRECTORY") == s.dir:
			if err = s.setAside(&UnusableError{Cause: Foreign, Path: path, Origin: head.Origin}); Unusable(err) {
				err = nil
			}
		default:
			continue
		}
		if err == nil {
			removed = append(removed, path)
		}
	}
	return removed
}

func (s *Store) write(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("writing state: %w", err)
	}
	if err = replace(path, append(b, '\n')); err == nil {
		err = s.syncDir(s.dir) // the content is on disk by now, its name only with this
	}
	if err != nil {
		return fmt.Errorf("writing state: %w", err)
	}
	return nil
}
