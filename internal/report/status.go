package report

import (
	"time"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

// Level is a verdict, as monitoring plugins have it.
type Level string

// The levels, from good to bad.
const (
	OK       Level = "ok"
	Warning  Level = "warning"
	Critical Level = "critical"
	Unknown  Level = "unknown" // could not check
)

// ExitCode returns 0, 1, 2 or 3.
func (l Level) ExitCode() int {
	switch l {
	case OK:
		return 0
	case Warning:
		return 1
	case Critical:
		return 2
	}
	return 3
}

// Worse returns the worse of two levels. Critical is worse than unknown: it is certain.
func (l Level) Worse(o Level) Level {
	rank := map[Level]int{OK: 0, Warning: 1, Unknown: 2, Critical: 3}
	if rank[o] > rank[l] {
		return o
	}
	return l
}

// Finding is something that status found amiss.
type Finding struct {
	Level Level  `json:"level"`
	Text  string `json:"text"`           // one line
	Hint  string `json:"hint,omitempty"` // what to type
}

// Status is what the status command found. Times are of the database's clock,
// those of units of the host's.
type Status struct {
	SchemaVersion int       `json:"schema_version"`
	Version       string    `json:"version"` // of this program
	Instance      string    `json:"instance,omitempty"`
	Config        string    `json:"config,omitempty"` // path
	Target        string    `json:"target"`           // host:port/database
	Database      string    `json:"database"`
	At            time.Time `json:"at"` // when the database was asked
	HostAt        time.Time `json:"-"`  // the same by the host\'s clock
	Level         Level     `json:"status"`
	Findings      []Finding `json:"findings"`
	// Refused is why nothing that the database holds is told: what could be read
	// may be less than there is. Then all below is empty, and no zero is a count.
	Refused string `json:"refused,omitempty"`

	Engine       string `json:"engine"` // what a run would use
	EngineReason string `json:"engine_reason,omitempty"`
	Generation   string `json:"generation"`

	Watermark  time.Time         `json:"watermark,omitzero"`
	Newest     time.Time         `json:"newest_event,omitzero"`
	LagSeconds float64           `json:"lag_seconds"`         // watermark behind newest event
	Waiting    Counted           `json:"waiting"`             // events at or after the watermark; Oldest is the first
	Queue      Counted           `json:"queue"`               // invalidations; Oldest is the first queued
	LastRun    LastRun           `json:"last_run"`            // as the database's state row has it, whoever ran
	AgentRun   *AgentRun         `json:"agent_run,omitempty"` // this agent's own last run or backfill
	Units      *units.Units      `json:"units,omitempty"`     // nil without systemd
	Schedulers []Scheduler       `json:"schedulers"`          // others
	Lock       []Holder          `json:"lock,omitempty"`      // who holds lock 4246
	Guard      pipeline.Guard    `json:"guard"`
	Backfill   *Backfill         `json:"backfill,omitempty"` // one that is unfinished
	Unproven   *Unproven         `json:"unproven,omitempty"` // nil where all is proven
	Proven     time.Time         `json:"oldest_proof,omitzero"`
	Notices    []ledger.Notice   `json:"notices,omitempty"` // what was noticed of the database, the newest last
	Debts      []ledger.Deferred `json:"debts,omitempty"`
	GivenUp    *ledger.GivenUp   `json:"given_up,omitempty"`
	Drift      *ledger.Drift     `json:"drift,omitempty"` // of the last verify
	Hours      []Hour            `json:"hours"`           // the last 24, oldest first
}

// Holder is a session that holds lock 4246.
type Holder struct {
	Text  string    `json:"text"`            // pid, application, user, since when
	State string    `json:"state,omitempty"` // idle, active …; "" where hidden from our role
	Since time.Time `json:"since,omitzero"`
}

// Counted is a number of things, counted up to a bound.
type Counted struct {
	Count  int64     `json:"count"`
	More   bool      `json:"more,omitempty"` // there are more than were counted
	Oldest time.Time `json:"oldest,omitzero"`
}

// LastRun is the last tick as task_usage_hourly_rollup_state has it.
type LastRun struct {
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	Rows     int64     `json:"rows"`
	Error    string    `json:"error,omitempty"`
}

// AgentRun is this agent's last run as its state directory has it, by the host's clock.
type AgentRun struct {
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	OK       bool      `json:"ok"`
	Error    string    `json:"error,omitempty"`
	Rows     int64     `json:"rows"`
}

// Scheduler is somebody else who rolls up the database.
type Scheduler struct {
	Kind     string     `json:"kind"`
	Title    string     `json:"-"` // as texts have it: Detail, and before it what is not plain without the kind
	Detail   string     `json:"detail"`
	Schedule string     `json:"schedule,omitempty"`
	Active   bool       `json:"active"`
	LastRun  *time.Time `json:"last_run,omitempty"`
	LastOK   *bool      `json:"last_ok,omitempty"`
}

// Backfill is an unfinished backfill of this agent.
type Backfill struct {
	Running bool      `json:"running"`
	Unknown bool      `json:"unknown,omitempty"` // whether it runs cannot be seen
	Cursor  time.Time `json:"cursor"`            // everything of its pass before this is done
	To      time.Time `json:"to"`                // where its pass ends
	Done    int64     `json:"done"`              // usage rows
	Total   int64     `json:"total"`
	Percent float64   `json:"percent"`
	Updated time.Time `json:"updated"`          // by the host's clock
	Status  string    `json:"status,omitempty"` // what its unit says it does
}

// Hour is one hour of rolled-up usage.
type Hour struct {
	Start  time.Time `json:"start"`
	Tokens int64     `json:"tokens"` // input, output, cache read and cache write
	Events int64     `json:"events"` // usage rows
}

// Unproven is what nobody has shown to be right in this life of the database.
type Unproven struct {
	Ranges []ledger.Range `json:"ranges"` // bucket hours
	Rows   Counted        `json:"rows"`   // usage rows in them
	Reason string         `json:"reason,omitempty"`
	// Unknown says that nothing is remembered of this life of the database: the next run finds out what is there.
	Unknown bool      `json:"unknown,omitempty"`
	Since   time.Time `json:"since,omitzero"`
}

// Text says what is not proven.
func (u *Unproven) Text() string {
	text := "the hourly rows of " + u.Rows.text("usage row", "usage rows")
	if n := len(u.Ranges); n > 0 && !u.Ranges[n-1].To.IsZero() {
		text += " before " + Stamp(u.Ranges[n-1].To)
	}
	text += " are not proven"
	if u.Reason != "" {
		text += ": " + u.Reason
	}
	return text
}

// Find adds a finding and makes the verdict at least as bad.
func (s *Status) Find(level Level, hint, text string) {
	s.Findings = append(s.Findings, Finding{Level: level, Text: text, Hint: hint})
	s.Level = s.Level.Worse(level)
}

// Lag returns how far the watermark trails the newest event.
func (s *Status) Lag() time.Duration {
	if s.Newest.IsZero() || !s.Newest.After(s.Watermark) {
		return 0
	}
	return s.Newest.Sub(s.Watermark)
}
