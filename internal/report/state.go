// Package report holds the one state that every account of the agent's work is
// rendered from: systemd's STATUS=, the journal, the metrics textfile and
// --json. So they cannot disagree.
package report

import (
	"fmt"
	"time"
)

// SchemaVersion is the version of State's JSON form. It changes when a field
// changes its meaning or goes; a new field leaves it.
const SchemaVersion = 1

// State is what one command knows of its work and of the pipeline. Times are
// of the database's clock unless their name says otherwise.
type State struct {
	SchemaVersion int    `json:"schema_version"`
	Command       string `json:"command"`  // run, backfill, verify
	Target        string `json:"target"`   // host:port/database
	Database      string `json:"database"` // its name
	Engine        string `json:"engine"`
	EngineReason  string `json:"engine_reason,omitempty"` // why not set; empty where it is set, or asked for
	Generation    string `json:"generation"`
	Phase         Phase  `json:"phase"`

	Started  time.Time `json:"started"`           // of this command
	Finished time.Time `json:"finished,omitzero"` // zero while it works
	Error    string    `json:"error,omitempty"`   // one line, no secret
	Outcome  Outcome   `json:"outcome,omitempty"` // how it ended
	Holder   string    `json:"holder,omitempty"`  // who holds lock 4246, where that stopped us

	Watermark time.Time `json:"watermark,omitzero"`
	Horizon   time.Time `json:"horizon,omitzero"` // up to where the watermark may go now
	Held      string    `json:"held,omitempty"`   // what holds the horizon back
	Newest    time.Time `json:"newest_event,omitzero"`

	Rows    int64 `json:"rows"`    // hourly rows written or deleted
	Read    int64 `json:"read"`    // usage rows read
	Slices  int64 `json:"slices"`  // transactions committed
	Drained int64 `json:"drained"` // queue rows worked off
	Queue   int64 `json:"queue"`   // queue rows left
	Debts   int   `json:"debts"`   // windows owed to transactions still open, or to gaps
	Behind  bool  `json:"behind"`  // the budget ended before the horizon was reached

	SliceFrom     time.Time     `json:"slice_from,omitzero"`
	SliceTo       time.Time     `json:"slice_to,omitzero"`
	SliceDuration time.Duration `json:"-"`
	LongestHold   time.Duration `json:"-"` // longest time lock 4246 was held

	Progress *Progress `json:"progress,omitempty"` // of a backfill
	Throttle string    `json:"throttle,omitempty"` // why the backfill is waiting now
	Pausing  bool      `json:"-"`                  // Throttle is but the pause between two slices
	Blocked  string    `json:"-"`                  // what the work waits for by no wish of its own: a lock, the database
	Warnings []string  `json:"warnings,omitempty"`
}

// Phase is what a command is doing.
type Phase string

// The phases.
const (
	Connecting Phase = "connecting to the database"
	Inspecting Phase = "looking at the database"
	Counting   Phase = "counting the usage rows"
	Draining   Phase = "draining the queue"
	Walking    Phase = "rolling up"
	Settling   Phase = "rolling up again what was committed late"
	Done       Phase = "done"
)

// Outcome is how a command ended.
type Outcome string

// The outcomes.
const (
	Current     Outcome = "current"     // everything due is rolled up
	Incomplete  Outcome = "incomplete"  // the budget ended first; the next run goes on
	Busy        Outcome = "busy"        // another holds lock 4246
	Interrupted Outcome = "interrupted" // SIGTERM or SIGINT
	Failed      Outcome = "failed"
	StandingBy  Outcome = "standing by" // another schedules the roll-up, and the data is fresh enough
)

// Progress is how far a backfill has come.
type Progress struct {
	Done      int64         `json:"done"`  // usage rows read, earlier runs included
	Total     int64         `json:"total"` // usage rows to read
	PerSecond float64       `json:"rows_per_second"`
	ETA       time.Duration `json:"-"`
	ETASecs   float64       `json:"eta_seconds"`
}

// Waits returns what the work waits for, "" where it is at work.
func (s *State) Waits() string {
	if s.Blocked != "" {
		return s.Blocked
	}
	return s.Throttle
}

// Stands says whether the work has to wait: the pauses between slices are its
// own, and part of its pace.
func (s *State) Stands() bool { return s.Waits() != "" && (!s.Pausing || s.Blocked != "") }

// Of renders the progress of a backfill that another is at, or was: what has
// not been counted yet has a total of zero.
func (p Progress) Of() string {
	if p.Total == 0 {
		return "0.0 % (not counted yet)"
	}
	return fmt.Sprintf("%.1f %% (%s of %s rows)", p.Percent(), Count(p.Done), Count(p.Total))
}

// Percent returns 0 to 100.
func (p Progress) Percent() float64 {
	if p.Total <= 0 {
		return 100
	}
	return min(100, 100*float64(p.Done)/float64(p.Total))
}

// Lag returns how far the watermark trails the newest event: the age of the
// data, not of the last run. It is zero where nothing waits.
func (s *State) Lag() time.Duration {
	if s.Newest.IsZero() || !s.Newest.After(s.Watermark) {
		return 0
	}
	return s.Newest.Sub(s.Watermark)
}

// Elapsed returns how long the command has been working by the host's clock.
func (s *State) Elapsed(now time.Time) time.Duration {
	if !s.Finished.IsZero() {
		now = s.Finished
	}
	return now.Sub(s.Started)
}

// Warn adds a warning once.
func (s *State) Warn(text string) (added bool) {
	for _, w := range s.Warnings {
		if w == text {
			return false
		}
	}
	s.Warnings = append(s.Warnings, text)
	return true
}
