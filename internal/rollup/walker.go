package rollup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/session"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

// Options say how to walk.
type Options struct {
	Command      string // run or backfill, for reports
	Engine       string // auto, set or function
	Known        pipeline.Fingerprints
	Walk         config.Walk
	Budget       time.Duration // of run: no slice starts after it; 0 means none
	StandbyLag   time.Duration // of run: 0 means act always
	Reconnect    time.Duration // how long a lost database is waited for
	LockPatience time.Duration // how long to wait for lock 4246 without getting it once
	LockTold     time.Duration // after how much of it the log says who holds it; 0 means never
	StateDir     string        // as configured; "" means the default
	Looks        bool          // only plans: nothing is written, to the state directory either
	Settle       time.Duration // how far the horizon trails the clock; 0 means the five minutes of Multica's own tick
	Throttle     Throttle      // nil means none
	FixedSize    int           // usage rows aimed at for every slice; 0 means by how long slices take
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

// Walker walks one database. It is not safe for concurrent use.
type Walker struct {
	opts      Options
	connector *pg.Connector
	session   *session.Session
	pipe      *pipeline.Pipeline
	engine    Engine
	store     *state.Store // nil where the state directory cannot be used
	horizon   *Horizon
	started   time.Time // of the run, on the database's clock
	deadline  time.Time // on this host's clock; zero means none
	size      int       // usage rows aimed at for the next slice
	busySince time.Time
	busyTold  bool // the log has who holds lock 4246
	pace      pace
	worked    time.Duration // by the last slice; zero before the first, and once the pause after it is over
	st        *report.State
	log       *slog.Logger
}

// New returns a walker. Nothing is connected yet.
func New(connector *pg.Connector, opts Options) *Walker {
	if opts.Settle == 0 {
		opts.Settle = settle
	}
	w := &Walker{
		opts: opts, connector: connector, size: cmp.Or(opts.FixedSize, firstSize), log: opts.Log,
		st: &report.State{
			SchemaVersion: report.SchemaVersion, Command: opts.Command, Target: connector.Target(),
			Phase: report.Connecting, Started: time.Now(),
		},
	}
	w.session = session.New(connector, session.Options{
		Known: opts.Known, StateDir: opts.StateDir, Reconnect: opts.Reconnect, Log: opts.Log, Lost: w.blocked,
	})
	return w
}

// State returns the walker's state, which goes on changing while it works.
func (w *Walker) State() *report.State { return w.st }

// Pipeline returns what Open found in the database.
func (w *Walker) Pipeline() *pipeline.Pipeline { return w.pipe }

// Store returns where the walker remembers things, nil where it cannot.
func (w *Walker) Store() *state.Store { return w.store }

// Close ends the connection.
func (w *Walker) Close(ctx context.Context) { w.session.Close(ctx) }

// Open connects, looks at the database and chooses the engine. Its errors are
// problems with a hint; nothing has been written when it fails.
func (w *Walker) Open(ctx context.Context) error {
	err := w.session.Open(ctx, w.phase)
	w.pipe = w.session.Pipeline()
	if err != nil {
		return err
	}
	if w.pipe.Standby {
		return problem.New(problem.Unreachable,
			"name the primary in the DSN, or all servers with target_session_attrs=read-write",
			"%s is a read-only standby: the roll-up has to be written on the primary", w.connector.Target())
	}
	var reason string
	if w.engine, reason, err = Choose(w.opts.Engine, w.pipe); err != nil {
		return err
	}
	if w.engine.OneSnapshot() && w.opts.FixedSize == 0 {
		w.size = floorSize // what the database's function takes for a row goes by its history, and it holds lock 4246 meanwhile
	}
	w.st.Database, w.st.Generation = w.pipe.Database, string(w.pipe.Generation)
	w.st.Engine, w.st.EngineReason = w.engine.Name(), reason
	if reason != "" {
		w.log.Warn("using the database's own function, whose cost grows with history",
			journal.EngineFallback.Attr(), journal.Engine(w.engine.Name()), journal.Reason(reason), journal.Hint("multica-rollup doctor"))
	}
	w.openStore()
	err = w.reading(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "select clock_timestamp()").Scan(&w.started); err != nil {
			return err
		}
		var err error
		_, w.st.Newest, _, err = readSpan(ctx, tx) // for reports alone
		return err
	})
	if err != nil {
		return w.explain(err)
	}
	return nil
}

func (w *Walker) openStore() {
	open := w.session.OpenStore
	if w.opts.Looks {
		open = w.session.InspectStore
	}
	err := open()
	w.store = w.session.Store()
	switch {
	case w.store == nil:
		w.warn(journal.StateUnwritable, "nothing can be remembered between runs, so open transactions hold the horizon back without limit: "+err.Error())
	case err != nil:
		w.warn(journal.StateUnwritable, err.Error())
	}
}

// readSpan returns the oldest and the newest event and the oldest creation
// time of raw usage; zero times where there is none.
func readSpan(ctx context.Context, q pg.Querier) (oldest, newest, created time.Time, err error) {
	var a, b, c *time.Time
	if err = q.QueryRow(ctx, statement("span", false)).Scan(&a, &b, &c); err != nil {
		return oldest, newest, created, fmt.Errorf("reading the span of raw usage: %w", err)
	}
	if a != nil && b != nil && c != nil {
		oldest, newest, created = *a, *b, *c
	}
	return oldest, newest, created, nil
}

// watermark reads the pipeline's state row.
func (w *Walker) watermark(ctx context.Context, q pg.Querier) (mark, now time.Time, err error) {
	var lastError string
	err = q.QueryRow(ctx, statement("state_read", false)).Scan(&mark, &lastError, &now)
	if errors.Is(err, pgx.ErrNoRows) {
		return mark, now, problem.New(problem.Config,
			"insert into task_usage_hourly_rollup_state (id) values (1)",
			"the state row of database %q is missing: task_usage_hourly_rollup_state has no id = 1", w.pipe.Database)
	}
	if err != nil {
		return mark, now, fmt.Errorf("reading the watermark: %w", err)
	}
	return mark, now, nil
}

// settings are those of every transaction that takes lock 4246; a slice's has
// besides the snapshot that its engine wants.
func (w *Walker) settings() pg.TxSettings {
	return pg.TxSettings{
		LockTimeout: w.opts.Walk.LockTimeout, StatementTimeout: w.opts.Walk.StatementTimeout,
		NoClientCheck: !w.pipe.ClientCheck, Silence: w.session.Silence(),
	}
}

// reading runs fn in a read-only transaction, where a policy that would hide
// rows is an error: what is planned by rows unseen would be lost.
func (w *Walker) reading(ctx context.Context, fn func(pgx.Tx) error) error {
	return w.with(ctx, func(conn *pgx.Conn) error { return w.readOn(ctx, conn, fn) })
}

func (w *Walker) readOn(ctx context.Context, conn *pgx.Conn, fn func(pgx.Tx) error) error {
	return pg.InTx(ctx, conn, pg.TxSettings{ReadOnly: true, NoClientCheck: !w.pipe.ClientCheck}, fn)
}

// readMark reads the state row in a transaction of its own.
func (w *Walker) readMark(ctx context.Context, conn *pgx.Conn) (mark, now time.Time, err error) {
	err = w.readOn(ctx, conn, func(tx pgx.Tx) (err error) {
		mark, now, err = w.watermark(ctx, tx)
		return err
	})
	return mark, now, err
}

func (w *Walker) phase(p report.Phase) {
	w.st.Phase = p
	w.observe()
}

func (w *Walker) observe() {
	if w.opts.Observe != nil {
		w.opts.Observe(w.st)
	}
}

// warn logs a warning once and keeps it in the state.
func (w *Walker) warn(event journal.Event, text string) {
	if w.st.Warn(text) {
		w.log.Warn(text, event.Attr())
	}
}

func (w *Walker) explain(err error) error { return w.connector.Explain(err) }

// outOfTime says whether the budget is spent.
func (w *Walker) outOfTime() bool { return !w.deadline.IsZero() && !time.Now().Before(w.deadline) }
