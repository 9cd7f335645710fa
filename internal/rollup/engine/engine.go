// Package engine rolls up one slice of usage, in either of two ways: by our own set-based SQL, whose cost
// follows the slice, or by the database's own window function, whatever that is. What is different about
// the two is behind one interface: nobody outside of this package asks which one it has.
package engine

import (
	"context"
	"embed"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

//go:embed sql
var sqlFiles embed.FS

var statements = sqltext.Embedded(sqlFiles)

// Statement returns the text of an embedded statement for a database with these columns, for tests of its plan.
func Statement(name string, columns pipeline.Columns) string { return statements.Text(name, columns) }

// Engine rolls up slices in transactions that hold lock 4246.
type Engine interface {
	// Name is set or function, as in the configuration and in reports. A backfill's checkpoint has it too:
	// the engines read different rows for one pass, so one does not resume what the other has begun.
	Name() string
	// FirstSize is how many usage rows the first slice aims at.
	FirstSize() int
	// Transaction returns the settings with what the engine needs of a slice's transaction.
	Transaction(base pg.TxSettings) pg.TxSettings
	// Reconciles says whether a pass over all of history makes whole bucket hours right, rows without usage included.
	Reconciles() bool
	// Plan begins a pass. oldest is the oldest creation time of raw usage, zero where there is none or where
	// the pass is not over all of history. read runs a step in a read-only transaction.
	Plan(ctx context.Context, read Read, pass Pass, oldest time.Time) (Planner, error)
	// Roll makes the hourly rows of every key right that has an event in the slice, at least.
	Roll(ctx context.Context, tx pgx.Tx, s Slice) (Result, error)
	// Queue begins to work through the invalidation queue. oldest is when its oldest row was queued.
	Queue(horizon, oldest time.Time, target time.Duration) Queue
	// RollQueue works off, in one transaction, queue rows queued before a time, or at most so many of them.
	RollQueue(ctx context.Context, tx pgx.Tx, before time.Time, limit int) (Result, error)
	// CountMonths counts what Roll will report as read for a pass from start that stands at from.
	CountMonths(ctx context.Context, tx pgx.Tx, start, from, to time.Time) ([]Month, error)
	// TryPrivileges changes nothing, and fails as the roll-up would where the role lacks a privilege.
	TryPrivileges(ctx context.Context, tx pgx.Tx) error
}

// Read runs a step in a read-only transaction.
type Read func(ctx context.Context, step func(pgx.Tx) error) error

// Planner says where the slices of one pass end. It reads indexes alone, before any lock is taken.
type Planner interface {
	// Next plans from cursor towards end, for about size usage rows.
	Next(ctx context.Context, tx pgx.Tx, cursor, end time.Time, size int) (Plan, error)
	// StartAt begins the pass anew, where the walk was sent by others: the hours between its old start and
	// there have not been read in it.
	StartAt(at time.Time) Planner
}

// Queue works through the invalidation queue in batches, each in a transaction of its own.
type Queue interface {
	// Transaction returns the settings with what the engine needs of a batch's transaction.
	Transaction(base pg.TxSettings) pg.TxSettings
	// Next plans a batch that reads about size usage rows. False: nothing is left for this run.
	Next(ctx context.Context, tx pgx.Tx, size int) (bool, error)
	// Drain works the batch off.
	Drain(ctx context.Context, tx pgx.Tx) (Result, error)
	// Drained says that the transaction of Drain has committed, and how long it worked.
	Drained(r Result, took time.Duration)
	// Shrink makes the next batch smaller, after one that took too long. False: it cannot be any smaller.
	Shrink() bool
}

// Slice is a window of event time [From, To) and how to roll it up. An event's
// time is its usage row's updated_at, or created_at where that is NULL.
type Slice struct {
	From, To time.Time
	Pass     Pass
	Hours    []time.Time // the bucket hours to read, where they are known; nil: all that the slice touches
	History  bool        // whole hours of a pass over all of history, none of which was read before
	Events   int64       // as planned; a bound where they were not counted
}

// Pass is a stretch of event time that one process walks in order. Hours
// created in it are read when the walk comes to them, corrections made later
// included, up to End, the horizon when the pass began; so those corrections
// cost nothing when the walk comes to them in their turn.
type Pass struct {
	Start, End time.Time
}

// Plan is what comes next: one slice, or one moment in several slices.
type Plan struct {
	Slices []Slice // all but the last leave the watermark where it is
	To     time.Time
	Full   bool // ended by its size, not by the end of the walk
	Events int64
}

// Result is what one slice did.
type Result struct {
	Written int64 // hourly rows inserted or changed
	Deleted int64 // hourly rows deleted
	Read    int64 // usage rows read; for the function engine, the events of the slice
	Drained int64 // queue rows worked off
}

// Add adds up what slices did.
func (r *Result) Add(o Result) {
	r.Written += o.Written
	r.Deleted += o.Deleted
	r.Read += o.Read
	r.Drained += o.Drained
}

// Month counts the usage rows of one month.
type Month struct {
	Month time.Time `json:"month"`
	Rows  int64     `json:"rows"`
}

// Choose returns the engine for a pipeline: wanted is auto, set or function.
// The reason says in a few words why it is not the set engine; it is empty
// where it is, or where the function was asked for.
func Choose(wanted string, p *pipeline.Pipeline) (Engine, string, error) {
	var obstacles []string
	switch wanted {
	case "function":
		return function{}, "", nil
	case "set":
		// Whoever asks for set vouches for the functions' texts, but not for columns.
		obstacles = p.Obstacles
	case "auto", "":
		obstacles = append(append(obstacles, p.Obstacles...), p.Unverified...)
	default:
		return nil, "", problem.New(problem.Config, "use auto, set or function", "unknown engine %q", wanted)
	}
	if len(obstacles) > 0 {
		return function{}, strings.Join(obstacles, "; "), nil
	}
	return newSet(p.Columns), "", nil
}

// ceilHour returns the first whole hour, in UTC, at or after t.
func ceilHour(t time.Time) time.Time { return t.Add(time.Hour - 1).Truncate(time.Hour) }
