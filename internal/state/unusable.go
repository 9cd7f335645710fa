package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/multica-rollup/multica-rollup/internal/files"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

// Cause says why a state file is not used.
type Cause int

// The causes.
const (
	Damaged   Cause = iota + 1 // it cannot be understood
	Newer                      // a newer version of the program wrote it
	Foreign                    // it is another database's
	Ambiguous                  // an earlier version wrote it, for this database or for one whose files it called the same
)

// UnusableError is a state file that is not used. It has been set aside, unless
// it was only looked at or is left to the database that it is of.
type UnusableError struct {
	Cause  Cause
	Path   string
	Aside  string        // where it was set aside; "" where it was left
	Origin ledger.Origin // what it says of itself; zero for a damaged one
	Err    error         // what is wrong with a damaged one
}

func (e *UnusableError) Error() string {
	text := "state file " + e.Path + " "
	switch e.Cause {
	case Newer:
		text += fmt.Sprintf("was written by a newer version of the program (its form is %d, this one knows %d)", e.Origin.Version, version)
	case Foreign:
		text += "is of another database, " + e.Origin.Title()
	case Ambiguous:
		text += "was written by an earlier version for " + e.Origin.Title() + ", and may hold what it remembered of a database with a similar name"
	default:
		text += "is damaged"
	}
	if e.Aside == "" {
		return text
	}
	return text + " and was set aside as " + filepath.Base(e.Aside)
}

// Unwrap returns what was wrong with the file.
func (e *UnusableError) Unwrap() error { return e.Err }

// Unusable says whether err is a state file that is not used: who remembers begins anew.
func Unusable(err error) bool {
	_, is := errors.AsType[*UnusableError](err)
	return is
}

// suffix is what the name of such a file ends in when it is set aside.
func (e *UnusableError) suffix() string {
	switch e.Cause {
	case Newer:
		return fmt.Sprintf(".v%d", e.Origin.Version)
	case Foreign, Ambiguous:
		return ".of-" + label(e.Origin.Database)
	}
	return ".damaged"
}

// read reads a file into a value, whose head is origin, and sets aside what
// cannot be used. A file that does not exist leaves both as they are.
func (s *Store) read(path string, into any, origin *ledger.Origin, sound func() bool) error {
	b, _, err := files.ReadOwn(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading state: %s: %w", path, err)
	}
	*origin = ledger.Origin{}
	unusable := &UnusableError{Path: path}
	if unusable.Cause, unusable.Err = judge(b, into, origin, s.origin(), s.names.shared, sound); unusable.Cause == 0 {
		return nil
	}
	unusable.Origin = *origin
	return s.setAside(unusable)
}

// judge understands the content of a file and says why it cannot be used, zero where it can.
// now is the origin of what is written, shared that earlier versions had one name for several databases.
func judge(content []byte, into any, origin *ledger.Origin, now ledger.Origin, shared bool, sound func() bool) (Cause, error) {
	var head struct{ Version int } // of a newer one nothing else is known
	if json.Unmarshal(content, &head) == nil && head.Version > version {
		_ = json.Unmarshal(content, origin) // as much of it as there is
		origin.Version = head.Version
		return Newer, nil
	}
	if err := json.Unmarshal(content, into); err != nil {
		return Damaged, err
	}
	switch {
	case origin.Version != version:
		return Damaged, errors.New("without a version")
	case !origin.Of(now):
		return Foreign, nil
	case origin.Name == "" && shared:
		return Ambiguous, nil
	case !sound():
		return Damaged, errors.New("what it says cannot be")
	}
	return 0, nil
}

// mostAside is how many files are kept beside each other that were set aside for one reason.
const mostAside = 99

// setAside gives a file a name that says why it is not used, and returns that as
// the error. Nothing that was set aside before is lost for it.
func (s *Store) setAside(e *UnusableError) error {
	if s.looking {
		return e
	}
	aside := e.Path + e.suffix()
	for n := 2; n <= mostAside; n++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		}
		aside = fmt.Sprintf("%s.%d", e.Path+e.suffix(), n)
	}
	err := os.Rename(e.Path, aside)
	if err == nil {
		err = s.syncDir(s.dir)
	}
	if err != nil {
		return fmt.Errorf("setting aside state that is not used: %w", err)
	}
	e.Aside = aside
	return e
}

// adopt takes over the files that an earlier version left under another name. It
// may have given that to several databases, so only those are taken that are
// certain to be this one's; another's are left to it. What was not taken is told
// by the next Load, once: from then on there is a file of the new name.
func (s *Store) adopt() {
	if s.names.earlier == s.names.file || exists(s.path(".json")) {
		return
	}
	for _, suffix := range []string{checkpointSuffix, ".json"} { // the memory last: with it all is done
		earlier := filepath.Join(s.dir, s.names.earlier+suffix)
		err := s.earlier(earlier)
		if err == nil && exists(earlier) {
			err = errors.Join(os.Rename(earlier, s.path(suffix)), s.syncDir(s.dir))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // another process was faster
			s.told = err
		}
	}
}

// earlier judges a file under the name of an earlier version.
func (s *Store) earlier(path string) error {
	b, _, err := files.ReadOwn(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading state: %s: %w", path, err)
	}
	var o ledger.Origin
	cause, _ := judge(b, &o, &o, s.origin(), s.names.shared, func() bool { return true })
	e := &UnusableError{Cause: cause, Path: path, Origin: o}
	switch {
	case cause == 0, cause != Foreign && !s.names.shared: // a damaged one, too, is told of under the new name
		return nil
	case cause == Ambiguous:
		return s.setAside(e)
	}
	return e
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
