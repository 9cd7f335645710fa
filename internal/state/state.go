// Package state stores what the agent must remember between runs and the
// database has no room for: package ledger's memory and the checkpoint of an
// interrupted backfill. Everything here can be lost at the price of work done
// again; nothing of it is needed to be right about what comes next.
package state

import (
	"cmp"
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

// version of the files' form. A file of another version is set aside.
const version = 1

// Store keeps the files of one database in one directory.
type Store struct {
	dir, key, database string
	looking            bool // made by Inspect: nothing is set aside
}

// Key names a database's files: the cluster's system identifier (or, where it
// may not be read, the server's address) and the database's name.
func Key(cluster, target, database string) string {
	clean := func(s string) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
				return r
			}
			return '_'
		}, s)
	}
	return clean(cmp.Or(cluster, target)) + "-" + clean(database)
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

// Open makes the directory if need be and checks that it can be written and has room.
func Open(dir, key, database string) (*Store, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return nil, fmt.Errorf("writing to the state directory %s: %w", dir, err)
	}
	s := &Store{dir: dir, key: key, database: database}
	s.sweep()
	if err := s.try(); err != nil {
		return nil, err
	}
	return s, nil
}

// abandoned is an age at which nobody is writing a temporary file any more.
const abandoned = time.Hour

// sweep removes the temporary files of writers that were killed before they
// could rename them. What cannot be removed is left: it is in nobody's way.
func (s *Store) sweep() {
	for _, final := range []string{s.path(".json"), s.CheckpointPath()} {
		left, err := filepath.Glob(filepath.Join(s.dir, "."+filepath.Base(final)+"[0-9]*"))
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

// Inspect returns a store for reading alone: it makes and checks nothing, and leaves a damaged file where it is.
func Inspect(dir, key, database string) *Store {
	return &Store{dir: dir, key: key, database: database, looking: true}
}

// Dir returns the directory of the store.
func (s *Store) Dir() string { return s.dir }

func (s *Store) path(suffix string) string { return filepath.Join(s.dir, s.key+suffix) }

// CheckpointPath is the file that keeps an unfinished backfill's checkpoint.
func (s *Store) CheckpointPath() string { return s.path(".backfill.json") }

// Load reads the memory. A missing file is an empty memory; a damaged one is
// set aside and reported by a *DamagedError beside an empty memory.
func (s *Store) Load() (ledger.Memory, error) {
	m := ledger.Memory{Version: version, Database: s.database}
	err := s.read(s.path(".json"), &m, func() bool { return m.Version == version })
	if err != nil {
		return ledger.Memory{Version: version, Database: s.database}, err
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
	if _, damaged := errors.AsType[*DamagedError](err); err != nil && !damaged {
		return err
	}
	change(&m)
	m.Version, m.Database = version, s.database
	return s.write(s.path(".json"), m)
}

// LoadCheckpoint reads the checkpoint of an unfinished backfill, nil where there is none.
// A damaged file is set aside and reported by a *DamagedError.
func (s *Store) LoadCheckpoint() (*ledger.Checkpoint, error) {
	var p ledger.Checkpoint
	err := s.read(s.CheckpointPath(), &p, func() bool { return p.Version == version && p.Sound() })
	if err != nil || p.Version == 0 {
		return nil, err
	}
	return &p, nil
}

// SaveCheckpoint writes the checkpoint of an unfinished backfill.
func (s *Store) SaveCheckpoint(p ledger.Checkpoint) error {
	p.Version, p.Database = version, s.database
	return s.write(s.CheckpointPath(), p)
}

// ClearCheckpoint removes the checkpoint: the backfill is done, or starts over.
func (s *Store) ClearCheckpoint() error {
	if err := os.Remove(s.CheckpointPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the backfill's place: %w", err)
	}
	return nil
}

// ClearLostCheckpoints removes the checkpoints of databases that have given way to this one:
// after a restore or pg_upgrade the same database is in another cluster, and
// nobody would ever finish them. A service's directory is for one database
// alone. It returns what it removed; what it cannot is in nobody's way.
func (s *Store) ClearLostCheckpoints() (removed []string) {
	paths, err := filepath.Glob(filepath.Join(s.dir, "*.backfill.json"))
	if err != nil {
		return nil // the directory's name is no pattern
	}
	for _, path := range paths {
		var p ledger.Checkpoint
		if path == s.CheckpointPath() || Inspect(s.dir, s.key, s.database).read(path, &p, func() bool { return true }) != nil {
			continue
		}
		if (p.Database == s.database || os.Getenv("STATE_DIRECTORY") == s.dir) && os.Remove(path) == nil {
			removed = append(removed, path)
		}
	}
	return removed
}

// DamagedError is a state file that could not be understood. It has been set aside, unless it was only looked at.
type DamagedError struct {
	Path, Aside string // Aside is "" where the file was left
	Err         error
}

func (e *DamagedError) Error() string {
	if e.Aside == "" {
		return fmt.Sprintf("state file %s is damaged", e.Path)
	}
	return fmt.Sprintf("state file %s is damaged and was set aside as %s", e.Path, filepath.Base(e.Aside))
}

// Unwrap returns what was wrong with the file.
func (e *DamagedError) Unwrap() error { return e.Err }

func (s *Store) read(path string, into any, valid func() bool) error {
	b, _, err := files.ReadOwn(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading state: %s: %w", path, err)
	}
	err = json.Unmarshal(b, into)
	if err == nil && valid() {
		return nil
	}
	if err == nil {
		err = errors.New("not of this version")
	}
	if s.looking {
		return &DamagedError{Path: path, Err: err}
	}
	aside := path + ".damaged"
	if rerr := os.Rename(path, aside); rerr != nil {
		return fmt.Errorf("setting damaged state aside: %w", rerr)
	}
	return &DamagedError{Path: path, Aside: aside, Err: err}
}

func (s *Store) write(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("writing state: %w", err)
	}
	if err := s.replace(path, append(b, '\n')); err != nil {
		return fmt.Errorf("writing state: %w", err)
	}
	return nil
}
