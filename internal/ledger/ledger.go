// Package ledger is what the agent remembers of one database, and what follows
// from it: how far the hourly table is known to be rolled up, which windows of
// event time were deferred, and where an unfinished backfill continues. Its
// types are plain values and its decisions are pure: no database, no file, no
// clock. Package state stores what is decided here.
//
// The names of the JSON keys are those of the files of earlier versions.
package ledger

import "time"

// GivenUp records history that a partial backfill passed over for good.
type GivenUp struct {
	Before time.Time `json:"before"` // bucket hours before this were left out
	Events int64     `json:"events"` // usage rows left out, as counted then
	At     time.Time `json:"at"`
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

// Checkpoint is where an unfinished backfill continues.
type Checkpoint struct {
	Origin
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

// Sound says whether a checkpoint can have been written by a backfill.
func (c *Checkpoint) Sound() bool {
	return !c.Cursor.IsZero() && !c.PassTo.IsZero() && !c.Cursor.Before(c.PassFrom) && !c.Cursor.After(c.PassTo) &&
		c.Done >= 0 && c.Total >= 0
}
