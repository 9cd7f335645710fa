// Package units asks systemd about the program's units, over D-Bus.
//
// A host without systemd or without its bus is no error: then there is nothing
// to tell. Everything asked here may be asked by any user.
package units

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	"golang.org/x/sys/unix"
)

// Names are the units that work on one database.
type Names struct{ Timer, Service, Backfill string }

// For returns the units of an instance, the file rollup.d/NAME.toml; "" is the one of rollup.toml.
func For(instance string) Names {
	if instance != "" {
		instance = "@" + instance
	}
	return Names{
		Timer:    "multica-rollup" + instance + ".timer",
		Service:  "multica-rollup" + instance + ".service",
		Backfill: "multica-rollup-backfill" + instance + ".service",
	}
}

// Timer is a timer unit. Its times are of the host's clock.
type Timer struct {
	Name      string    `json:"name"`
	Enabled   bool      `json:"enabled"`             // starts at boot
	Active    bool      `json:"active"`              // waiting or firing
	Masked    bool      `json:"masked,omitempty"`    // nobody can start or enable it
	Next      time.Time `json:"next,omitzero"`       // next elapse; zero where there is none
	Last      time.Time `json:"last,omitzero"`       // when it last fired
	Overrides []string  `json:"overrides,omitempty"` // files of the administrator's that change the unit
}

// Service is a service unit. Its times are of the host's clock.
type Service struct {
	Name      string    `json:"name"`
	State     string    `json:"state"`               // active, activating, inactive, failed …
	Result    string    `json:"result"`              // success, exit-code, timeout …
	Exit      int       `json:"exit"`                // of its last main process: exit status, or signal
	Status    string    `json:"status,omitempty"`    // STATUS= as it last told
	Ended     time.Time `json:"ended,omitzero"`      // of its last main process
	Overrides []string  `json:"overrides,omitempty"` // files of the administrator's that change the unit
}

// Working says whether the service is at work now.
func (s *Service) Working() bool {
	return s != nil && (s.State == "active" || s.State == "activating" || s.State == "reloading")
}

// Failed says whether its last run ended badly.
func (s *Service) Failed() bool {
	return s != nil && !s.Working() && s.Result != "" && s.Result != "success"
}

// Units is what systemd knows of one database's units; nil where a unit is not installed.
type Units struct {
	Timer    *Timer   `json:"timer,omitempty"`
	Service  *Service `json:"service,omitempty"`
	Backfill *Service `json:"backfill,omitempty"`
}

// patience bounds the whole conversation: status must not hang on a manager that is busy.
const patience = 3 * time.Second

// booted is the directory that says that systemd is the host's init (sd_booted(3)).
const booted = "/run/systemd/system"

// startsAtBoot are the states of unit files that need no enabling, or have it.
var startsAtBoot = []string{"enabled", "enabled-runtime", "static", "generated"}

// masked is the LoadState of a unit that is linked to /dev/null.
const masked = "masked"

// bus is what is asked of systemd.
type bus interface {
	GetUnitPropertiesContext(ctx context.Context, unit string) (map[string]any, error)
	GetUnitTypePropertiesContext(ctx context.Context, unit, unitType string) (map[string]any, error)
}

// Read returns what systemd knows of the units, nil where there is no systemd
// or no bus to it. An error means that there is one and that it did not answer.
func Read(ctx context.Context, names Names) (*Units, error) {
	if _, err := os.Stat(booted); err != nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := dbus.NewSystemConnectionContext(ctx)
	if err != nil {
		if ctx.Err() == nil {
			return nil, nil // no bus on this host, or none for us
		}
		return nil, fmt.Errorf("asking systemd: %w", err)
	}
	defer conn.Close()
	return read(ctx, conn, names, sinceBoot)
}

// read does the asking. monotonic turns a reading of the monotonic clock, in µs, into a time.
func read(ctx context.Context, conn bus, names Names, monotonic func(uint64) time.Time) (*Units, error) {
	u := &Units{}
	unit, timer, err := properties(ctx, conn, names.Timer, "Timer")
	if err != nil {
		return nil, err
	}
	if unit != nil {
		u.Timer = &Timer{
			Name: names.Timer, Enabled: slices.Contains(startsAtBoot, text(unit, "UnitFileState")),
			Active: text(unit, "ActiveState") == "active", Masked: text(unit, "LoadState") == masked,
			Last: realtime(timer, "LastTriggerUSec"), Overrides: overrides(unit),
		}
		if u.Timer.Active {
			u.Timer.Next = earliest(realtime(timer, "NextElapseUSecRealtime"), monotonicOf(timer, "NextElapseUSecMonotonic", monotonic))
		}
	}
	if u.Service, err = service(ctx, conn, names.Service); err != nil {
		return nil, err
	}
	if u.Backfill, err = service(ctx, conn, names.Backfill); err != nil {
		return nil, err
	}
	return u, nil
}

func service(ctx context.Context, conn bus, name string) (*Service, error) {
	unit, own, err := properties(ctx, conn, name, "Service")
	if err != nil || unit == nil || text(unit, "LoadState") == masked {
		return nil, err
	}
	exit, _ := own["ExecMainStatus"].(int32)
	return &Service{
		Name: name, State: text(unit, "ActiveState"), Result: text(own, "Result"), Exit: int(exit),
		Status: text(own, "StatusText"), Ended: realtime(own, "ExecMainExitTimestamp"), Overrides: overrides(unit),
	}, nil
}

// properties reads a unit; nil maps where it is not installed.
func properties(ctx context.Context, conn bus, name, kind string) (unit, own map[string]any, err error) {
	if unit, err = conn.GetUnitPropertiesContext(ctx, name); err != nil {
		return nil, nil, fmt.Errorf("asking systemd about %s: %w", name, err)
	}
	switch text(unit, "LoadState") {
	case "loaded", masked:
	default:
		return nil, nil, nil
	}
	if own, err = conn.GetUnitTypePropertiesContext(ctx, name, kind); err != nil {
		return nil, nil, fmt.Errorf("asking systemd about %s: %w", name, err)
	}
	return unit, own, nil
}

// administrators is where an administrator's own unit files and drop-ins are: `systemctl revert` removes them.
const administrators = "/etc/systemd/system/"

// overrides returns the administrator's files that change a unit of the package's.
func overrides(unit map[string]any) []string {
	files, _ := unit["DropInPaths"].([]string)
	return slices.DeleteFunc(slices.Clone(files), func(path string) bool { return !strings.HasPrefix(path, administrators) })
}

func text(properties map[string]any, name string) string {
	s, _ := properties[name].(string)
	return s
}

// realtime reads a time in µs since the epoch; 0 and the greatest value mean that there is none.
func realtime(properties map[string]any, name string) time.Time {
	us, _ := properties[name].(uint64)
	if us == 0 || us == math.MaxUint64 {
		return time.Time{}
	}
	return time.UnixMicro(int64(us))
}

func monotonicOf(properties map[string]any, name string, convert func(uint64) time.Time) time.Time {
	us, _ := properties[name].(uint64)
	if us == 0 || us == math.MaxUint64 {
		return time.Time{}
	}
	return convert(us)
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// sinceBoot turns a reading of the host's monotonic clock, in µs, into a time.
func sinceBoot(us uint64) time.Time {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(us)*time.Microsecond - time.Duration(now.Nano()))
}
