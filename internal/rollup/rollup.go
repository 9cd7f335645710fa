// Package rollup takes task_usage_hourly from its watermark to the horizon, in
// slices that are each one short transaction. There is one loop, the walk
// (walk.go); a tick (tick.go) and a backfill (backfill.go) send it along.
//
// Data goes one way: read what there is, decide (packages ledger and horizon),
// plan a slice (package engine), commit it (writer.go), note it (memory.go),
// report it (reporter.go). Each of the types uses those that New hands to it and
// knows nothing of who uses it.
package rollup

import (
	"context"
	"embed"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/hostclock"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup/engine"
	"github.com/multica-rollup/multica-rollup/internal/session"
	"github.com/multica-rollup/multica-rollup/internal/sizing"
	"github.com/multica-rollup/multica-rollup/internal/sqltext"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

//go:embed sql
var sqlFiles embed.FS

var statements = sqltext.Embedded(sqlFiles)

func statement(name string) string { return statements.Text(name, nil) }

// Options say how to walk.
type Options struct {
	Command      string // run or backfill, for reports
	Engine       string // auto, set or function
	Known        pipeline.Known
	Walk         config.Walk
	Budget       time.Duration                     // of run: no slice starts after it; 0 means none
	StandbyLag   time.Duration                     // of run: 0 means act always
	Reconnect    time.Duration                     // how long a lost database is waited for
	LockPatience time.Duration                     // how long to wait for lock 4246 without getting it once
	LockTold     time.Duration                     // after how much of it the log says who holds it; 0 means never
	StateDir     string                            // as configured; "" means the default
	HostClock    func() (hostclock.Reading, error) // nil means this host's
	DryRun       bool                              // only plans: nothing is written, to the state directory either
	HorizonDelay time.Duration                     // how far the horizon trails the clock; 0 means the five minutes of Multica's own tick
	Throttle     Throttle                          // nil means none
	FixedSize    int                               // usage rows aimed at for every slice; 0 means by how long slices take
	Clock        func() time.Time                  // of this host, by which the horizon ages; nil means time.Now
	Log          *slog.Logger
	Observe      func(*report.State) // called whenever the state changed; may be nil
}

// Throttle holds the walk back.
type Throttle interface {
	// Rest returns the pause between two slices, of which the first worked for took.
	Rest(took time.Duration) time.Duration
	// Wait returns when the next slice may start. ask runs a step on a live connection;
	// say is told the reason whenever it waits, and "" when it is over.
	Wait(ctx context.Context, ask func(step func(pg.Querier) error) error, say func(reason string)) error
}

// Bounds on the size of a slice, in usage rows.
const (
	floorSize = 500
	ceilSize  = 1_000_000
)

// Walker walks one database. It is not safe for concurrent use.
type Walker struct {
	opts Options
	db   *database
	rep  *reporter
	at   *position
	walk *walk
	work *state.Work // of a backfill, until it ends; nil where there is none
}

// New returns a walker. Nothing is connected yet.
func New(connector *pg.Connector, opts Options) *Walker {
	if opts.HorizonDelay == 0 {
		opts.HorizonDelay = pipeline.CommitLag
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	var w *Walker
	rep := newReporter(connector, opts)
	db := &database{
		connector: connector, walk: opts.Walk, log: opts.Log,
		session: session.New(connector, session.Options{
			Known: opts.Known, StateDir: opts.StateDir, Reconnect: opts.Reconnect, Log: opts.Log, Lost: rep.blocked,
			Again: func(ctx context.Context, conn *pgx.Conn) error { return w.at.recogniseAgain(ctx, conn) },
		}),
	}
	mem := &memory{rep: rep, delay: opts.HorizonDelay, hold: opts.Walk.HorizonHold, looking: opts.DryRun}
	write := &writer{db: db, mem: mem}
	wait := &lockWait{db: db, rep: rep, patience: opts.LockPatience, told: opts.LockTold}
	w = &Walker{
		opts: opts, db: db, rep: rep,
		at:   &position{db: db, write: write, mem: mem, wait: wait, rep: rep, opts: opts},
		walk: &walk{db: db, write: write, mem: mem, wait: wait, throttler: &throttler{throttle: opts.Throttle, db: db, rep: rep}, rep: rep},
	}
	return w
}

// State returns the walker's state, which goes on changing while it works.
func (w *Walker) State() *report.State { return w.rep.st }

// Pipeline returns what Open found in the database.
func (w *Walker) Pipeline() *pipeline.Pipeline { return w.db.pipe() }

// Store returns where the walker remembers things, nil where it cannot.
func (w *Walker) Store() *state.Store { return w.walk.mem.store }

// Close ends the connection, and a backfill's hold on its files.
func (w *Walker) Close(ctx context.Context) {
	w.endWork()
	w.db.session.Close(ctx)
}

// Open connects, looks at the database and chooses the engine. Its errors are
// problems with a hint; nothing has been written when it fails.
func (w *Walker) Open(ctx context.Context) error {
	if err := w.db.session.Open(ctx, w.rep.phase); err != nil {
		return err
	}
	pipe := w.db.pipe()
	if err := pipe.Writable(w.db.connector.Target()); err != nil {
		return err
	}
	chosen, reason, err := engine.Choose(w.opts.Engine, pipe)
	if err != nil {
		return err
	}
	w.walk.write.engine = chosen
	w.walk.size = sizing.New(chosen.FirstSize(), floorSize, ceilSize, w.opts.Walk.SliceTarget)
	if w.opts.FixedSize > 0 {
		w.walk.size = sizing.Fixed(w.opts.FixedSize, floorSize)
	}
	w.rep.found(pipe, chosen.Name(), reason)
	w.openStore()
	if err := w.at.enter(ctx); err != nil {
		return w.db.explain(err)
	}
	err = w.db.read(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "select clock_timestamp()").Scan(&w.walk.write.started); err != nil {
			return err
		}
		usage, err := readSpan(ctx, tx) // for reports alone
		w.rep.st.Newest = usage.newest
		return err
	})
	return w.db.explain(err)
}

// openStore opens what is remembered of the database.
func (w *Walker) openStore() {
	open := w.db.session.OpenStore
	if w.opts.DryRun {
		open = w.db.session.InspectStore
	}
	err := open()
	w.walk.mem.store = w.db.session.Store()
	switch {
	case w.walk.mem.store == nil:
		w.rep.warn(journal.StateUnwritable, "nothing can be remembered between runs, so open transactions hold the horizon back without limit: "+err.Error())
	case err != nil:
		w.rep.warn(journal.StateSetAside, err.Error())
	}
}
