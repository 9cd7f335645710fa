package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

var memoryAt = time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)

const (
	asOf  = `{"version": 1, "database": "h:5432/DATABASE", "truth": "2026-05-01T09:00:00Z"}`
	place = `{"version": 1, "database": "h:5432/DATABASE", "engine": "set", "pass_from": "2026-01-01T00:00:00Z", "pass_to": "2026-05-01T00:00:00Z", "cursor": "2026-02-01T00:00:00Z", "done": 1, "total": 2}`
)

// lay writes files as an earlier version left them, the database's name filled in.
func lay(t *testing.T, dir, name, memory, database string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(memory, "DATABASE", database)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".lock") {
			names = append(names, e.Name())
		}
	}
	return names
}

// unusable demands an error of a cause.
func unusable(t *testing.T, err error, cause state.Cause, says string) *state.UnusableError {
	t.Helper()
	e, ok := errors.AsType[*state.UnusableError](err)
	if !ok || e.Cause != cause || !strings.Contains(err.Error(), says) {
		t.Fatalf("got %v, want a file that is not used and says %q", err, says)
	}
	return e
}

func TestAFileOfAnotherDatabaseIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	lay(t, dir, "7-d.json", asOf, "other")
	lay(t, dir, "7-d.backfill.json", place, "other")
	looking := state.Inspect(dir, state.Key("7", "", "d"), "h:5432/d")
	for range 2 {
		if _, err := looking.Load(); unusable(t, err, state.Foreign, "of another database, h:5432/other").Aside != "" {
			t.Fatal("who only looks set it aside")
		}
	}
	s := open(t, dir, "d")
	m, err := s.Load()
	if e := unusable(t, err, state.Foreign, "h:5432/other"); !m.Committed.IsZero() || filepath.Base(e.Aside) != "7-d.json.of-h_5432_other~"+e.Aside[len(e.Aside)-12:] {
		t.Errorf("it remembers %+v, aside is %s", m, e.Aside)
	}
	if _, err := s.Load(); err != nil {
		t.Errorf("it is told again: %v", err)
	}
	p, err := s.LoadCheckpoint()
	unusable(t, err, state.Foreign, "h:5432/other")
	if p != nil {
		t.Errorf("its backfill would be resumed: %+v", p)
	}
	if err := s.Update(func(*ledger.Memory) {}); err != nil {
		t.Fatal(err)
	}
	if names := left(t, dir); len(names) != 3 {
		t.Errorf("there are %v, want both files aside and a new one", names)
	}
}

// TestAMemoryWhoseServerIsNamedOtherwiseIsUsed: localhost, a socket, a pooler that has its own name for the database.
func TestAMemoryWhoseServerIsNamedOtherwiseIsUsed(t *testing.T) {
	dir := t.TempDir()
	lay(t, dir, "7-d.json", asOf, "d")
	for _, target := range []string{"/run/postgresql:5432/d", "pooler:6432/alias", "a:5432,b:5432/d"} {
		s, err := state.Open(dir, state.Key("7", "", "d"), target)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := s.Load(); err != nil || !m.Committed.Equal(memoryAt) {
			t.Fatalf("as %s it remembers %+v, %v", target, m, err)
		}
		if err := s.Update(func(*ledger.Memory) {}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAClearedCheckpointOfAnotherDatabaseIsKept(t *testing.T) {
	dir := t.TempDir()
	lay(t, dir, "7-d.backfill.json", place, "other")
	if err := open(t, dir, "d").ClearCheckpoint(); err != nil {
		t.Fatal(err)
	}
	if names := left(t, dir); len(names) != 1 || !strings.HasPrefix(names[0], "7-d.backfill.json.of-") {
		t.Errorf("left are %v", names)
	}
}

func TestWhatANewerVersionWroteIsSetAside(t *testing.T) {
	dir := t.TempDir()
	const newer = `{"version": 3, "database": "h:5432/d", "truth": {"at": 5}, "debts": "elsewhere"}`
	lay(t, dir, "7-d.json", newer, "")
	lay(t, dir, "7-d.backfill.json", `{"version": 4, "cursor": []}`, "")
	s := open(t, dir, "d")
	_, err := s.Load()
	if e := unusable(t, err, state.Newer, "newer version"); strings.Contains(err.Error(), "damaged") || filepath.Base(e.Aside) != "7-d.json.v3" {
		t.Errorf("%v, aside is %s", err, e.Aside)
	}
	_, err = s.LoadCheckpoint()
	if e := unusable(t, err, state.Newer, "newer version"); filepath.Base(e.Aside) != "7-d.backfill.json.v4" {
		t.Errorf("%v, aside is %s", err, e.Aside)
	}
	if err := s.Update(func(m *ledger.Memory) { m.Committed = memoryAt }); err != nil {
		t.Fatal(err)
	}
	if m, err := open(t, dir, "d").Load(); err != nil || !m.Committed.Equal(memoryAt) {
		t.Errorf("after the downgrade it remembers %+v, %v", m, err)
	}
	// Upgraded, and downgraded once more: nothing of before is lost.
	lay(t, dir, "7-d.json", strings.Replace(newer, "5", "6", 1), "")
	_, err = open(t, dir, "d").Load()
	unusable(t, err, state.Newer, "7-d.json.v3.2")
	if b, err := os.ReadFile(filepath.Join(dir, "7-d.json.v3")); err != nil || string(b) != newer {
		t.Errorf("what was set aside first is %q, %v", b, err)
	}
}

func TestFilesOfAnEarlierVersionAreTakenOver(t *testing.T) {
	for _, c := range []struct {
		name, writer string
		others       []string
		cause        state.Cause // zero: it is taken over
		left         []string    // beside what is written then
	}{
		{"no other database has such a name", "租户一", []string{"postgres", "multica"}, 0, nil},
		{"another has, and either may have written it", "租户一", []string{"租户二"}, state.Ambiguous, []string{"7-___.json.of-", "7-___.backfill.json.of-"}},
		{"another wrote it", "租户二", []string{"租户二"}, state.Foreign, []string{"7-___.json", "7-___.backfill.json"}},
		{"another wrote it, which is no more", "租户三", nil, state.Foreign, []string{"7-___.json", "7-___.backfill.json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			lay(t, dir, "7-___.json", asOf, c.writer)
			lay(t, dir, "7-___.backfill.json", place, c.writer)
			names := state.Key("7", "", "租户一", c.others...)
			looked, err := state.Inspect(dir, names, "h:5432/租户一").Load()
			if taken := c.cause == 0; err != nil || looked.Committed.Equal(memoryAt) != taken {
				t.Errorf("looking finds %+v, %v", looked, err)
			}
			s := open(t, dir, "租户一", c.others...)
			m, err := s.Load()
			p, perr := s.LoadCheckpoint()
			if perr != nil || (p != nil) != (c.cause == 0) || m.Committed.Equal(memoryAt) != (c.cause == 0) {
				t.Errorf("it remembers %+v and %+v, %v", m, p, perr)
			}
			if c.cause != 0 {
				unusable(t, err, c.cause, c.writer)
			} else if err != nil {
				t.Error(err)
			}
			if err := s.Update(func(*ledger.Memory) {}); err != nil {
				t.Fatal(err)
			}
			if _, err := open(t, dir, "租户一", c.others...).Load(); err != nil {
				t.Errorf("it is told again: %v", err)
			}
			names2 := slices.DeleteFunc(left(t, dir), func(n string) bool { return strings.HasPrefix(n, "7-___~") })
			ok := len(names2) == len(c.left)
			for _, want := range c.left {
				ok = ok && slices.ContainsFunc(names2, func(n string) bool { return strings.HasPrefix(n, want) })
			}
			if !ok {
				t.Errorf("left are %v, want %v", names2, c.left)
			}
		})
	}
}

// TestAPlainNameMayHaveBeenSharedToo: "a b" was called a_b.
func TestAPlainNameMayHaveBeenSharedToo(t *testing.T) {
	dir := t.TempDir()
	lay(t, dir, "7-a_b.json", asOf, "a_b")
	s := open(t, dir, "a_b", "a b")
	_, err := s.Load()
	unusable(t, err, state.Ambiguous, "similar name")
	for range 2 { // what is written now says whose it is
		if err := s.Update(func(m *ledger.Memory) { m.Committed = memoryAt }); err != nil {
			t.Fatal(err)
		}
		if m, err := s.Load(); err != nil || !m.Committed.Equal(memoryAt) {
			t.Errorf("it remembers %+v, %v", m, err)
		}
	}
}
