package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

// other is a user that is not ours, where we are root; else ourselves.
func other() (uid, gid int) {
	if os.Geteuid() == 0 {
		return 65534, 65534
	}
	return os.Geteuid(), os.Getegid()
}

func TestWhatIsNoFileIsToldAtOnce(t *testing.T) {
	for suffix, use := range map[string]func(s *Store) error{
		".json":          func(s *Store) error { _, err := s.Load(); return err },
		".lock":          func(s *Store) error { return s.Update(func(*ledger.Memory) {}) },
		".backfill.json": func(s *Store) error { _, err := s.LoadCheckpoint(); return err },
	} {
		for what, lay := range map[string]func(path string) error{
			"named pipe":    func(path string) error { return unix.Mkfifo(path, 0o600) },
			"directory":     func(path string) error { return os.Mkdir(path, 0o700) },
			"symbolic link": func(path string) error { return os.Symlink(filepath.Join(t.TempDir(), "elsewhere"), path) },
			"larger than": func(path string) error {
				return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40))
			},
		} {
			if suffix == ".lock" && what == "larger than" {
				continue // nothing of it is read
			}
			dir := t.TempDir()
			if err := lay(filepath.Join(dir, "7-d"+suffix)); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- use(Inspect(dir, Key("7", "", "d"), "d")) }()
			select {
			case err := <-ended:
				if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "7-d"+suffix) {
					t.Errorf("a %s as %s: %v", what, suffix, err)
				}
			case <-time.After(time.Minute):
				t.Fatalf("a %s as %s: it hangs", what, suffix)
			}
		}
	}
}

func TestWhatRootLeavesBelongsToTheDirectorysOwner(t *testing.T) {
	uid, gid := other()
	parent := t.TempDir()
	if err := os.Chown(parent, uid, gid); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "instance")
	s, err := Open(dir, Key("7", "", "d"), "d")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	err = errors.Join(s.Update(func(*ledger.Memory) {}), s.SaveCheckpoint(ledger.Checkpoint{PassFrom: now, PassTo: now, Cursor: now}))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, name := range []string{"", "7-d.json", "7-d.lock", "7-d.backfill.json"} {
		var stat unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, name), &stat); err != nil || int(stat.Uid) != uid || int(stat.Gid) != gid {
			t.Errorf("%q belongs to %d:%d, want %d:%d (%v)", name, stat.Uid, stat.Gid, uid, gid, err)
		}
	}
}

func TestRootFollowsNoLinkOfAnotherUser(t *testing.T) {
	uid, gid := other()
	target, link := t.TempDir(), filepath.Join(t.TempDir(), "instance")
	if err := errors.Join(os.Symlink(target, link), os.Lchown(link, uid, gid)); err != nil {
		t.Fatal(err)
	}
	_, err := Open(link, Key("7", "", "d"), "d")
	if refused := err != nil && strings.Contains(err.Error(), "symbolic link of another user"); refused != (os.Geteuid() == 0) {
		t.Errorf("as user %d: %v", os.Geteuid(), err)
	}
}
