package state_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

// file is what a database's memory is called.
func file(t *testing.T, names state.Names) string {
	t.Helper()
	store := state.Inspect(t.TempDir(), names, "h:5432/d")
	return strings.TrimSuffix(filepath.Base(store.CheckpointPath()), ".backfill.json")
}

func TestPlainNamesStayAsTheyAre(t *testing.T) {
	for _, database := range []string{"multica", "a_b", "a-b", "v1.2", strings.Repeat("x", 63)} {
		if got, want := file(t, state.Key("7300000000000000001", "h:5432/d", database)), "7300000000000000001-"+database; got != want {
			t.Errorf("%q is called %s, want %s", database, got, want)
		}
	}
}

// TestEveryDatabaseHasFilesOfItsOwn looks at names as a file system does that
// does not tell capital letters from small ones.
func TestEveryDatabaseHasFilesOfItsOwn(t *testing.T) {
	long := strings.Repeat("租", 21) // 63 bytes, PostgreSQL's bound
	seen := map[string][3]string{}
	for _, names := range [][3]string{
		{"7", "", "租户一"}, {"7", "", "租户二"}, {"7", "", "___"}, {"7", "", "a b"}, {"7", "", "a_b"}, {"7", "", "a/b"}, {"7", "", "A_B"}, {"7", "", "a_B"},
		{"7", "", ".hidden"}, {"7", "", "_hidden"}, {"7", "", ""}, {"7", "", "."}, {"7", "", ".."}, {"7", "", "a\x00b"}, {"7", "", "a\xffb"}, {"7", "", "a\xfeb"},
		{"7", "", long}, {"7", "", long[:60] + "户"}, {"7", "", "é"}, {"7", "", "e\u0301"}, {"7", "", "a~b"}, {"7", "", "d"}, {"7", "", "a-d"},
		{"", "h:5432/d", "d"}, {"", "h_5432/d", "d"}, {"", "h:5433/d", "d"}, {"", "/run/postgresql:5432/d", "d"}, {"", "7", "d"}, {"", ".h:5432/d", "d"},
		{"", strings.Repeat("h", 250) + "1:5432/d", "d"}, {"", strings.Repeat("h", 250) + "2:5432/d", "d"}, {"", "[::1]:5432/d", "d"}, {"", "[::2]:5432/d", "d"},
	} {
		name := file(t, state.Key(names[0], names[1], names[2]))
		if other, taken := seen[strings.ToLower(name)]; taken {
			t.Errorf("%q and %q are both called %s", other, names, name)
		}
		seen[strings.ToLower(name)] = names
		if len(name) > 160 || strings.HasPrefix(name, ".") || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/\*?[]"'`, r) }) {
			t.Errorf("%q is called %q", names, name)
		}
	}
}

// TestDatabasesOfOneServerRememberForThemselves: the names that a file had before read alike.
func TestDatabasesOfOneServerRememberForThemselves(t *testing.T) {
	dir := t.TempDir()
	for _, database := range []string{"租户一", "租户二"} {
		s := open(t, dir, database, "租户一", "租户二")
		if err := s.Update(func(m *ledger.Memory) { m.Run = &ledger.Run{Error: database} }); err != nil {
			t.Fatal(err)
		}
	}
	for _, database := range []string{"租户一", "租户二"} {
		m, err := open(t, dir, database, "租户一", "租户二").Load()
		if err != nil || m.Run == nil || m.Run.Error != database {
			t.Errorf("%s remembers %+v, %v", database, m.Run, err)
		}
	}
}

// open opens the store of a database of cluster 7, which has others.
func open(t *testing.T, dir, database string, others ...string) *state.Store {
	t.Helper()
	s, err := state.Open(dir, state.Key("7", "", database, others...), "h:5432/"+database)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
