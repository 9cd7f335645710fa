// Package verify recounts raw usage and compares it with the hourly table, has
// wrong keys rolled up again, and proves the two engines equal on a live
// database. A recount only reads, in chunks that are each one short statement.
package verify

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/session"
	"github.com/multica-rollup/multica-rollup/internal/sizing"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

// Options say what to verify and how.
type Options struct {
	Since     Since
	Repair    bool
	Engine    string // for the tick of a repair: auto, set or function
	Known     pipeline.Known
	Walk      config.Walk
	Reconnect time.Duration // how long a lost database is waited for
	// LockPatience is how long the tick of a repair waits for lock 4246.
	LockPatience time.Duration
	StateDir     string        // as configured; "" means the default
	List         int           // how many wrong keys the report names
	Pause        time.Duration // between the two looks at a key before it is called wrong
	Windows      int           // how many windows Engines compares
	Log          *slog.Logger
	Observe      func(*report.State) // called whenever the state changed; may be nil
}

// Verifier verifies one database. It is not safe for concurrent use.
type Verifier struct {
	opts      Options
	connector *pg.Connector
	session   *session.Session
	pipe      *pipeline.Pipeline
	store     *state.Store // nil where the state directory cannot be used
	size      sizing.Size  // rows aimed at for the next chunk
	now       time.Time    // the database's clock when the work began
	st        *report.State
	warnings  []string
}

// New returns a verifier. Nothing is connected yet.
func New(connector *pg.Connector, opts Options) *Verifier {
	return &Verifier{
		opts: opts, connector: connector, size: sizing.New(firstSize, floorSize, ceilSize, chunkTarget),
		session: session.New(connector, session.Options{
			Known: opts.Known, StateDir: opts.StateDir, Reconnect: opts.Reconnect, Log: opts.Log,
		}),
		st: &report.State{
			SchemaVersion: report.SchemaVersion, Command: "verify", Target: connector.Target(),
			Phase: report.Connecting, Started: time.Now(),
		},
	}
}

// State returns the verifier's state, which goes on changing while it works.
func (v *Verifier) State() *report.State { return v.st }

// Store returns where the outcome is remembered, nil where it cannot be.
func (v *Verifier) Store() *state.Store { return v.store }

// Close ends the connection.
func (v *Verifier) Close(ctx context.Context) { v.session.Close(ctx) }

// open connects and looks at the database. Its errors are problems with a hint.
func (v *Verifier) open(ctx context.Context) error {
	err := v.session.Open(ctx, v.phase)
	v.pipe = v.session.Pipeline()
	if err != nil {
		return err
	}
	v.st.Database, v.st.Generation = v.pipe.Database, string(v.pipe.Generation)
	v.openStore()
	err = v.inTx(ctx, v.reads(), func(tx pgx.Tx) error {
		row, err := pipeline.ReadState(ctx, tx, v.pipe.Database)
		v.st.Watermark, v.now = row.Watermark, row.Now
		return err
	})
	if err != nil {
		return v.explain(err)
	}
	return nil
}

// row reads one row in a transaction of its own, on a new connection where the old one is lost.
func (v *Verifier) row(ctx context.Context, into []any, sql string, args ...any) error {
	return v.inTx(ctx, v.reads(), func(tx pgx.Tx) error { return tx.QueryRow(ctx, sql, args...).Scan(into...) })
}

func (v *Verifier) reads() pg.TxSettings {
	return pg.TxSettings{ReadOnly: true, NoClientCheck: !v.pipe.ClientCheck}
}

// inTx runs a whole transaction, once more where the connection is lost in it.
func (v *Verifier) inTx(ctx context.Context, s pg.TxSettings, fn func(pgx.Tx) error) error {
	return v.session.Do(ctx, func(conn *pgx.Conn) error { return pg.InTx(ctx, conn, s, fn) })
}

// openStore opens what the agent remembers: what it owes and what was given up.
func (v *Verifier) openStore() {
	err := v.session.OpenStore()
	v.store = v.session.Store()
	switch {
	case v.store == nil:
		v.warn(journal.StateUnwritable, "what the agent owes and what was given up is not known here, and the outcome is not remembered: "+err.Error())
	case err != nil:
		v.warn(journal.StateUnwritable, err.Error())
	}
}

// unknownColumns warns of counters that this program does not know, and so cannot compare.
func (v *Verifier) unknownColumns() {
	for _, obstacle := range v.pipe.Obstacles {
		if strings.Contains(obstacle, "unknown column") {
			v.warn(journal.EngineFallback, obstacle+", which was not compared")
		}
	}
}

func (v *Verifier) warn(event journal.Event, text string) {
	if v.st.Warn(text) {
		v.warnings = append(v.warnings, text)
		v.opts.Log.Warn(text, event.Attr())
	}
}

func (v *Verifier) phase(p report.Phase) {
	v.st.Phase = p
	v.observe()
}

func (v *Verifier) observe() {
	if v.opts.Observe != nil {
		v.opts.Observe(v.st)
	}
}

func (v *Verifier) explain(err error) error { return v.connector.Explain(err) }

// excuses are why a key may differ without being wrong, beside what the database itself says.
type excuses struct {
	from, to      []time.Time // windows of event time that the agent still has to roll up again
	givenUpBefore time.Time
}

// gapPatience is how long a gap that others left excuses a difference. The
// agent closes a gap within a run or two; where nobody does, what is in it is wrong.
const gapPatience = 24 * time.Hour

// excuses reads the agent's memory; it is read before the statement that it is
// for, since what is owed is written down before the watermark passes it.
func (v *Verifier) excuses() (excuses, error) {
	// Empty, not NULL: the statement asks for its length.
	e := excuses{from: []time.Time{}, to: []time.Time{}, givenUpBefore: earliest}
	if v.store == nil {
		return e, nil
	}
	m, err := v.store.Load()
	if _, damaged := errors.AsType[*state.DamagedError](err); err != nil && !damaged {
		return e, problem.Wrap(err, problem.Failed, "look at the state directory "+v.store.Dir(), "%v", err)
	}
	for _, d := range m.Deferred {
		if d.Kind == ledger.Gap && v.now.Sub(d.From) > gapPatience {
			continue
		}
		to := d.To
		if d.Moves && v.now.After(to) {
			to = v.now
		}
		e.from, e.to = append(e.from, d.From), append(e.to, to)
	}
	if m.GivenUp != nil {
		e.givenUpBefore = m.GivenUp.Before
	}
	return e, nil
}
