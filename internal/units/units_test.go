package units

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// manager answers as systemd 252 does, by unit name.
type manager struct {
	unit, own map[string]map[string]any
	err       error
}

func (m manager) GetUnitPropertiesContext(_ context.Context, unit string) (map[string]any, error) {
	if p, ok := m.unit[unit]; ok {
		return p, m.err
	}
	return map[string]any{"LoadState": "not-found", "ActiveState": "inactive"}, m.err
}

func (m manager) GetUnitTypePropertiesContext(_ context.Context, unit, _ string) (map[string]any, error) {
	return m.own[unit], m.err
}

var fired = time.Date(2026, 3, 4, 5, 5, 0, 0, time.UTC)

func us(t time.Time) uint64 { return uint64(t.UnixMicro()) }

func TestTheTimerAndTheServiceOfAnInstanceAreRead(t *testing.T) {
	m := manager{
		unit: map[string]map[string]any{
			"multica-rollup@eu.timer":   {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"},
			"multica-rollup@eu.service": {"LoadState": "loaded", "ActiveState": "failed"},
		},
		own: map[string]map[string]any{
			"multica-rollup@eu.timer": {
				"LastTriggerUSec": us(fired), "NextElapseUSecRealtime": us(fired.Add(5 * time.Minute)), "NextElapseUSecMonotonic": uint64(math.MaxUint64),
			},
			"multica-rollup@eu.service": {
				"Result": "exit-code", "ExecMainStatus": int32(69), "StatusText": "failed: no answer", "ExecMainExitTimestamp": us(fired.Add(time.Second)),
			},
		},
	}
	got, err := read(t.Context(), m, For("eu"), sinceBoot)
	if err != nil {
		t.Fatal(err)
	}
	want := &Units{
		Timer:   &Timer{Name: "multica-rollup@eu.timer", Enabled: true, Active: true, Next: fired.Add(5 * time.Minute), Last: fired},
		Service: &Service{Name: "multica-rollup@eu.service", State: "failed", Result: "exit-code", Exit: 69, Status: "failed: no answer", Ended: fired.Add(time.Second)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !got.Service.Failed() || got.Service.Working() || got.Backfill.Failed() || got.Backfill.Working() {
		t.Error("a failed service is failed and not at work; a unit that is not installed is neither")
	}
}

func TestTheNextElapseIsTheEarlierOfBothClocks(t *testing.T) {
	boot := fired.Add(-time.Hour)
	m := manager{
		unit: map[string]map[string]any{"multica-rollup.timer": {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "disabled"}},
		own: map[string]map[string]any{"multica-rollup.timer": {
			"NextElapseUSecRealtime": us(fired.Add(time.Minute)), "NextElapseUSecMonotonic": uint64(time.Hour.Microseconds()),
		}},
	}
	got, err := read(t.Context(), m, For(""), func(us uint64) time.Time { return boot.Add(time.Duration(us) * time.Microsecond) })
	if err != nil {
		t.Fatal(err)
	}
	if !got.Timer.Next.Equal(fired) || got.Timer.Enabled || !got.Timer.Last.IsZero() {
		t.Errorf("got %+v, want the monotonic clock's earlier time, not enabled, never fired", got.Timer)
	}
}

func TestAStoppedTimerHasNoNextElapse(t *testing.T) {
	m := manager{
		unit: map[string]map[string]any{"multica-rollup.timer": {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled"}},
		own:  map[string]map[string]any{"multica-rollup.timer": {"NextElapseUSecRealtime": us(fired)}},
	}
	got, err := read(t.Context(), m, For(""), sinceBoot)
	if err != nil || got.Timer == nil || !got.Timer.Next.IsZero() {
		t.Errorf("got %+v, %v, want a timer without a next elapse", got.Timer, err)
	}
}

func TestWhatTheAdministratorDidToAUnitIsRead(t *testing.T) {
	m := manager{
		unit: map[string]map[string]any{
			"multica-rollup.timer": {"LoadState": "masked", "ActiveState": "inactive", "UnitFileState": "masked"},
			"multica-rollup.service": {"LoadState": "loaded", "ActiveState": "inactive", "DropInPaths": []string{
				"/usr/lib/systemd/system/service.d/10-all.conf", "/etc/systemd/system/multica-rollup.service.d/own.conf",
			}},
			"multica-rollup-backfill.service": {"LoadState": "masked", "ActiveState": "inactive"},
		},
		own: map[string]map[string]any{},
	}
	got, err := read(t.Context(), m, For(""), sinceBoot)
	if err != nil {
		t.Fatal(err)
	}
	want := &Units{
		Timer:   &Timer{Name: "multica-rollup.timer", Masked: true},
		Service: &Service{Name: "multica-rollup.service", State: "inactive", Overrides: []string{"/etc/systemd/system/multica-rollup.service.d/own.conf"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAManagerThatDoesNotAnswerIsAnError(t *testing.T) {
	down := errors.New("no reply")
	if _, err := read(t.Context(), manager{err: down}, For(""), sinceBoot); !errors.Is(err, down) {
		t.Errorf("got %v, want the bus's own error", err)
	}
}

func TestTheMonotonicClockIsTranslated(t *testing.T) {
	if got := sinceBoot(0); time.Since(got) < time.Second || time.Since(got) > 20*365*24*time.Hour {
		t.Errorf("the host booted at %s, want some time ago", got)
	}
}

func TestTheFilesOfAServicesCredentialsAreRead(t *testing.T) {
	m := manager{
		unit: map[string]map[string]any{"multica-rollup.service": {"LoadState": "loaded"}},
		own: map[string]map[string]any{"multica-rollup.service": {
			"LoadCredential": [][]any{{"rollup.toml", "/etc/multica/rollup.toml"}, {"dsn", "/etc/multica/dsn"}},
		}},
	}
	got, err := credentials(t.Context(), m, "multica-rollup.service")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"rollup.toml": "/etc/multica/rollup.toml", "dsn": "/etc/multica/dsn"}, got); diff != "" {
		t.Error(diff)
	}
	if got, err := credentials(t.Context(), m, "multica-rollup@eu.service"); err != nil || got != nil {
		t.Errorf("a unit that is not there has %v, %v", got, err)
	}
}
