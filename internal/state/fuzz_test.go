package state

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

func FuzzAnyStateFileIsReadOrSetAside(f *testing.F) {
	at := time.Date(2026, 11, 1, 1, 0, 0, 1000, time.UTC)
	for _, seed := range [][2]string{
		{`{"version": 1, "truth": "2026-11-01T00:00:00Z", "intent": "2026-11-01T00:05:00.000001Z", "debts": [{"kind": "gap", "from": "2026-10-31T00:00:00Z", "to": "2026-11-01T00:00:00Z"}]}`,
			`{"version": 1, "engine": "set", "pass_from": "2025-01-01T00:00:00Z", "pass_to": "2026-11-01T00:00:00Z", "cursor": "2025-06-01T00:00:00Z", "done": 5, "total": 9}`},
		{"", ""}, {"{", "["}, {"null", "null"}, {`{"version": 1, "name": "other"}`, `{"version": 99, "database": 7}`}, {`{"version": 2}`, `{"version": 1}`}, {`{"version": 1e400}`, `{"version": "1"}`},
		{`{"version": 1, "truth": "0000-00-00T00:00:00Z"}`, `{"version": 1, "cursor": "9999-12-31T23:59:59.999999999+23:59", "pass_to": "0001-01-02T00:00:00-23:59"}`},
		{`{"version": 1, "debts": null, "given_up": {}, "run": null}`, `{"version": 1, "partial": {"events": -9223372036854775808}}`},
		{"{\"version\": 1, \"database\": \"\\u0000\\ud800\"}", "\xff\xfe"},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, memory, place []byte) {
		s, err := Open(t.TempDir(), Key("7", "h", "d"), "h/d")
		if err != nil {
			t.Fatal(err)
		}
		for path, text := range map[string][]byte{s.path(".json"): memory, s.CheckpointPath(): place} {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		looked, lookErr := Inspect(s.Dir(), Key("7", "h", "d"), "h/d").Load()
		m, err := s.Load()
		if diff := cmp.Diff(looked, m); diff != "" || (lookErr == nil) != (err == nil) {
			t.Errorf("looking (%v) and reading (%v) differ: %s", lookErr, err, diff)
		}
		damaged(t, err, s.path(".json"))
		p, err := s.LoadCheckpoint()
		damaged(t, err, s.CheckpointPath())
		if err == nil && p != nil && (p.Cursor.IsZero() || p.PassTo.IsZero()) {
			t.Errorf("a place that is nowhere: %+v", p)
		}

		// Whatever was there, work goes on from it and is remembered.
		m.Defer(ledger.Deferred{Kind: ledger.Gap, From: at.Add(-time.Hour), To: at})
		m.Settle(ledger.Deferred{Kind: ledger.Gap, To: at}, at.Add(-time.Minute))
		if err := s.Update(func(kept *ledger.Memory) { *kept = m }); err != nil {
			t.Fatalf("remembering: %v", err)
		}
		again, err := s.Load()
		m.Origin = ledger.Origin{Version: version, Database: "h/d", Name: "d"}
		if err != nil || cmp.Diff(m, again) != "" {
			t.Errorf("remembered (%v) with a difference: %s", err, cmp.Diff(m, again))
		}
		if p != nil {
			if err := s.SaveCheckpoint(*p); err != nil {
				t.Fatalf("keeping the place: %v", err)
			}
		}
		if err := s.ClearCheckpoint(); err != nil {
			t.Error(err)
		}
		if p, err := s.LoadCheckpoint(); p != nil || err != nil {
			t.Errorf("a place after it was cleared: %v, %v", p, err)
		}
	})
}

// damaged demands that an error is a file set aside, which is not met again.
func damaged(t *testing.T, err error, path string) {
	t.Helper()
	if err == nil {
		return
	}
	d, ok := errors.AsType[*UnusableError](err)
	if !ok || d.Path != path || d.Aside == "" || !strings.HasPrefix(d.Aside, path+".") {
		t.Fatalf("%v is no file set aside", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", path, err)
	}
}
