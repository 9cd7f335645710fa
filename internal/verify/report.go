package verify

import (
	"time"
)

// SchemaVersion is the version of the reports' JSON form. It changes when a
// field changes its meaning or goes; a new field leaves it.
const SchemaVersion = 1

// Verdict is what a report amounts to.
type Verdict string

// The verdicts.
const (
	Clean   Verdict = "clean"
	GivenUp Verdict = "given up" // nothing is wrong but what a partial backfill passed over
	Drift   Verdict = "drift"
)

// Report is the outcome of a recount. Times are of the database's clock.
type Report struct {
	SchemaVersion int       `json:"schema_version"`
	Verdict       Verdict   `json:"verdict"`
	Target        string    `json:"target"` // host:port/database
	Database      string    `json:"database"`
	Since         time.Time `json:"since,omitzero"` // first bucket hour; zero means all
	Watermark     time.Time `json:"watermark"`
	At            time.Time `json:"at"` // when the recount began
	Seconds       float64   `json:"duration_seconds"`

	UsageRows  int64 `json:"usage_rows"`  // recounted
	HourlyRows int64 `json:"hourly_rows"` // compared with

	Wrong  Counts       `json:"wrong"`
	First  []Difference `json:"first"` // the first wrong keys
	NotDue NotDue       `json:"not_due"`

	GivenUp       int64     `json:"given_up"` // keys that differ in history that a partial backfill passed over
	GivenUpBefore time.Time `json:"given_up_before,omitzero"`
	NotRecomputed int64     `json:"not_recomputed"` // right, but from before the cost columns came
	Kept          Kept      `json:"kept"`

	Repair   *Repair  `json:"repair,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// Kept counts hourly rows whose agent does not exist any more. Its usage went
// with it, so they cannot be recounted: Multica keeps them as the record of what
// was spent, and so does every repair.
type Kept struct {
	Rows   int64 `json:"rows"`
	Agents int64 `json:"agents"`
	Tokens int64 `json:"tokens"` // of all four kinds; the largest int64 where there are more
}

// Counts counts wrong hourly keys by what is wrong.
type Counts struct {
	Missing   int64 `json:"missing"`   // there is usage but no hourly row
	Surplus   int64 `json:"surplus"`   // there is an hourly row but no usage
	Differing int64 `json:"differing"` // a counter is not what the usage adds up to
}

// Sum returns the number of wrong keys.
func (c Counts) Sum() int64 { return c.Missing + c.Surplus + c.Differing }

func (c *Counts) add(k Kind) {
	switch k {
	case Missing:
		c.Missing++
	case Surplus:
		c.Surplus++
	case Differing:
		c.Differing++
	}
}

// NotDue counts keys that differ, as nobody has had to roll them up yet.
type NotDue struct {
	Ahead  int64 `json:"ahead"`  // have usage newer than the watermark
	Queued int64 `json:"queued"` // wait in the invalidation queue
	Owed   int64 `json:"owed"`   // have usage in a window that the agent owes
}

// Sum returns the number of keys.
func (n NotDue) Sum() int64 { return n.Ahead + n.Queued + n.Owed }

// Repair is what became of the wrong keys.
type Repair struct {
	Queued int64  `json:"queued"`           // keys queued as invalidations
	Rows   int64  `json:"rows"`             // hourly rows that the tick wrote or deleted
	Holder string `json:"holder,omitempty"` // who kept the tick from working
	Left   Counts `json:"left"`             // wrong keys found by the second recount of those hours
	Still  int64  `json:"still_queued"`     // keys that wait for the next run
}

// verdict draws the conclusion.
func (r *Report) verdict() Verdict {
	switch {
	case r.Repair != nil && r.Repair.Left.Sum()+r.Repair.Still > 0, r.Repair == nil && r.Wrong.Sum() > 0:
		return Drift
	case r.GivenUp > 0:
		return GivenUp
	}
	return Clean
}

// Kind says what is wrong with an hourly key.
type Kind string

// The kinds.
const (
	Missing   Kind = "missing"
	Surplus   Kind = "surplus"
	Differing Kind = "differing"
)

// Key is the key of an hourly row.
type Key struct {
	Hour      time.Time `json:"bucket_hour"`
	Workspace string    `json:"workspace_id"`
	Runtime   string    `json:"runtime_id"`
	Agent     string    `json:"agent_id"`
	Project   string    `json:"project_id,omitempty"` // "" for none
	Provider  string    `json:"provider"`
	Model     string    `json:"model"`
}

// Difference is a wrong key.
type Difference struct {
	Kind Kind `json:"kind"`
	Key
	Counters []Counter `json:"counters"` // those that are wrong
}

// Counter is a column of the hourly table; nil where there is no row, or no value.
type Counter struct {
	Column string `json:"column"`
	Hourly *int64 `json:"hourly"`
	Raw    *int64 `json:"raw"`
}

// counters pairs both sides' values, in the order of names, and leaves out those that agree.
func counters(names []string, hourly, raw []*int64) []Counter {
	var list []Counter
	at := func(side []*int64, i int) *int64 {
		if i < len(side) {
			return side[i]
		}
		return nil
	}
	for i, name := range names {
		h, r := at(hourly, i), at(raw, i)
		if (h == nil) == (r == nil) && (h == nil || *h == *r) {
			continue
		}
		list = append(list, Counter{Column: name, Hourly: h, Raw: r})
	}
	return list
}
