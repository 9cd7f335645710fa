// Package state keeps what the agent must remember between runs and the
// database has no room for: the watermark up to which this agent knows the
// hourly table to be true, the windows it still owes, and the place of an
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
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// version of the files' form. A file of another version is set aside.
const version = 1

// Kind says why a window is owed.
type Kind string

// The kinds of debts.
const (
	OpenTransaction     Kind = "open-transaction"     // a client transaction that outlived the horizon's hold
	PreparedTransaction Kind = "prepared-transaction" // the same, in pg_prepared_xacts
	HiddenWriter        Kind = "hidden-writer"        // a writer whose start our role may not see
	Gap                 Kind = "gap"                  // others moved the watermark without our seeing a roll-up
)

// Debt is a window of event time, half-open, that the watermark has passed and
// that has still to be rolled up again.
type Debt struct {
	Kind Kind      `json:"kind"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`

	// Wrote is the earliest event time that rows of the transaction itself can have; zero for a gap.
	Wrote time.Time `json:"wrote,omitzero"`

	// What has to end before the window can be rolled up; zero for a gap.
	PID                int32     `json:"pid,omitempty"`
	BackendStart       time.Time `json:"backend_start,omitzero"`
	Started            time.Time `json:"started,omitzero"`              // xact_start, or prepared
	GID                string    `json:"gid,omitempty"`                 // of a prepared transaction
	VirtualTransaction string    `json:"virtual_transaction,omitempty"` // of a hidden writer
	Description        string    `json:"description,omitempty"`

	// Moves says that the transaction may move usage to other keys. Then the window reaches, once it
	// has ended, to the watermark: what others wrote meanwhile was rolled up into the keys of before,
	// and its triggers, which ran earlier, have not seen it.
	Moves bool `json:"moves,omitempty"`
}

// SameCause says whether two debts wait for the same transaction.
func (d Debt) SameCause(o Debt) bool {
	return d.Kind == o.Kind && d.Kind != Gap && d.PID == o.PID && d.BackendStart.Equal(o.BackendStart) &&
		d.Started.Equal(o.Started) && d.GID == o.GID && d.VirtualTransaction == o.VirtualTransaction
}

// GivenUp records history that a partial backfill passed over for good.
type GivenUp struct {
	Before time.Time `json:"before"` // bucket hours before this were left out
	Events int64     `json:"events"` // usage rows left out, as counted then
	At     time.Time `json:"at"`
}

// Memory is what the agent remembers of one database.
type Memory struct {
	Version  int       `json:"version"`
	Database string    `json:"database"`        // for the reader of the file
	Truth    time.Time `json:"truth,omitzero"`  // everything before it was rolled up by this agent or found so
	Intent   time.Time `json:"intent,omitzero"` // the watermark that the slice under way will commit
	Debts    []Debt    `json:"debts,omitempty"`
	GivenUp  *GivenUp  `json:"given_up,omitempty"`
	Drift    *Drift    `json:"drift,omitempty"`
	Run      *Run      `json:"run,omitempty"`
}

// Drift is the outcome of the last verify.
type Drift struct {
	At      time.Time `json:"at"`
	Keys    int64     `json:"keys"`    // hourly keys missing, surplus or different
	Checked int64     `json:"checked"` // usage rows recounted
}

// Run is the outcome of the last run, for what reports on it from outside.
type Run struct {
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	OK       bool      `json:"ok"`
	Error    string    `json:"error,omitempty"`
	Rows     int64     `json:"rows"`
	Events   int64     `json:"events"`
}

// Place is where an unfinished backfill goes on.
type Place struct {
	Version   int       `json:"version"`
	Database  string    `json:"database"`
	Engine    string    `json:"engine"`
	Asked     string    `json:"asked,omitempty"` // the beginning, where it was not all of history
	PassFrom  time.Time `json:"pass_from"`       // start of the pass
	PassTo    time.Time `json:"pass_to"`         // horizon when the pass began
	Cursor    time.Time `json:"cursor"`          // everything of the pass before it is done
	Done      int64     `json:"done"`            // usage rows read
	Total     int64     `json:"total"`           // usage rows to read
	StartedAt time.Time `json:"started_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Partial   *GivenUp  `json:"partial,omitempty"` // of --months-back
}

// sound says whether a place can have been written by a backfill.
func (p *Place) sound() bool {
	return !p.Cursor.IsZero() && !p.PassTo.IsZero() && !p.Cursor.Before(p.PassFrom) && !p.Cursor.After(p.PassTo) &&
		p.Done >= 0 && p.Total >= 0
}

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

// Open makes the directory if need be and checks that it can be written.
func Open(dir, key, database string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return nil, fmt.Errorf("writing to the state directory %s: %w", dir, err)
	}
	s := &Store{dir: dir, key: key, database: database}
	s.sweep()
	return s, nil
}

// abandoned is an age at which nobody is writing a temporary file any more.
const abandoned = time.Hour

// sweep removes the temporary files of writers that were killed before they
// could rename them. What cannot be removed is left: it is in nobody's way.
func (s *Store) sweep() {
	for _, final := range []string{s.path(".json"), s.PlacePath()} {
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

// PlacePath is the file that keeps an unfinished backfill's place.
func (s *Store) PlacePath() string { return s.path(".backfill.json") }

// Load reads the memory. A missing file is an empty memory; a damaged one is
// set aside and reported by a *DamagedError beside an empty memory.
func (s *Store) Load() (Memory, error) {
	m := Memory{Version: version, Database: s.database}
	err := s.read(s.path(".json"), &m, func() bool { return m.Version == version })
	if err != nil {
		return Memory{Version: version, Database: s.database}, err
	}
	return m, nil
}

// Update reads the memory, has it changed and writes it, under a lock that
// keeps other processes of this host out. On a nil return it is on disk.
func (s *Store) Update(change func(*Memory)) error {
	lock, err := os.OpenFile(s.path(".lock"), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return fmt.Errorf("locking the state directory: %w", err)
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

// LoadPlace reads the place of an unfinished backfill, nil where there is none.
// A damaged file is set aside and reported by a *DamagedError.
func (s *Store) LoadPlace() (*Place, error) {
	var p Place
	err := s.read(s.PlacePath(), &p, func() bool { return p.Version == version && p.sound() })
	if err != nil || p.Version == 0 {
		return nil, err
	}
	return &p, nil
}

// SavePlace writes the place of an unfinished backfill.
func (s *Store) SavePlace(p Place) error {
	p.Version, p.Database = version, s.database
	return s.write(s.PlacePath(), p)
}

// ClearPlace removes the place: the backfill is done, or starts over.
func (s *Store) ClearPlace() error {
	if err := os.Remove(s.PlacePath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the backfill's place: %w", err)
	}
	return nil
}

// ClearLostPlaces removes the places of databases that have given way to this one:
// after a restore or pg_upgrade the same database is in another cluster, and
// nobody would ever finish them. A service's directory is for one database
// alone. It returns what it removed; what it cannot is in nobody's way.
func (s *Store) ClearLostPlaces() (removed []string) {
	paths, err := filepath.Glob(filepath.Join(s.dir, "*.backfill.json"))
	if err != nil {
		return nil // the directory's name is no pattern
	}
	for _, path := range paths {
		var p Place
		if path == s.PlacePath() || Inspect(s.dir, s.key, s.database).read(path, &p, func() bool { return true }) != nil {
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
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading state: %w", err)
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
	if err := renameio.WriteFile(path, append(b, '\n'), 0o640); err != nil {
		return fmt.Errorf("writing state: %w", err)
	}
	return nil
}

// Owe adds a debt, widening one with the same cause or an adjoining gap.
func (m *Memory) Owe(d Debt) {
	for i := range m.Debts {
		o := &m.Debts[i]
		adjoins := o.Kind == Gap && d.Kind == Gap && !d.From.After(o.To) && !o.From.After(d.To)
		if !adjoins && !o.SameCause(d) {
			continue
		}
		if d.From.Before(o.From) {
			o.From = d.From
		}
		if d.To.After(o.To) {
			o.To = d.To
		}
		if d.Wrote.Before(o.Wrote) {
			o.Wrote = d.Wrote
		}
		o.Moves = o.Moves || d.Moves
		return
	}
	m.Debts = append(m.Debts, d)
}

// Widen has the debts with d's cause, whose transaction has ended, reach to the watermark where it may have moved usage.
func (m *Memory) Widen(d Debt, watermark time.Time) {
	for i := range m.Debts {
		o := &m.Debts[i]
		if !o.Moves || !o.SameCause(d) {
			continue
		}
		o.Moves = false
		if watermark.After(o.To) {
			o.To = watermark
		}
	}
}

// Settle removes [from, to) from a debt equal to d in cause and end.
func (m *Memory) Settle(d Debt, upTo time.Time) {
	m.Debts = slices.DeleteFunc(m.Debts, func(o Debt) bool {
		return o.Kind == d.Kind && o.To.Equal(d.To) && (o.Kind == Gap || o.SameCause(d)) && !upTo.Before(o.To)
	})
	for i := range m.Debts {
		o := &m.Debts[i]
		if o.Kind == d.Kind && o.To.Equal(d.To) && (o.Kind == Gap || o.SameCause(d)) && upTo.After(o.From) {
			o.From = upTo
		}
	}
}
