// Package verify recounts raw usage and compares it with the hourly table, has
// wrong keys rolled up again, and proves the two engines equal on a live
// database. A recount only reads, in chunks that are each one short statement.
package verify

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
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
	opts     Options
	scan     *scan
	st       *report.State
	warnings []string
}

// New returns a verifier. Nothing is connected yet.
func New(connector *pg.Connector, opts Options) *Verifier {
	return &Verifier{
		opts: opts,
		scan: &scan{
			connector: connector, walk: opts.Walk, list: opts.List,
			size: sizing.New(firstSize, floorSize, ceilSize, chunkTarget),
			session: session.New(connector, session.Options{
				Known: opts.Known, StateDir: opts.StateDir, Reconnect: opts.Reconnect, Log: opts.Log,
			}),
		},
		st: &report.State{
			SchemaVersion: report.SchemaVersion, Command: "verify", Target: connector.Target(),
			Phase: report.Connecting, Started: time.Now(),
		},
	}
}

// State returns the verifier's state, which goes on changing while it works.
func (v *Verifier) State() *report.State { return v.st }

// Store returns where the outcome is remembered, nil where it cannot be.
func (v *Verifier) Store() *state.Store { return v.scan.store }

// Close ends the connection.
func (v *Verifier) Close(ctx context.Context) { v.scan.session.Close(ctx) }

// open connects and looks at the database. Its errors are problems with a hint.
func (v *Verifier) open(ctx context.Context) error {
	err := v.scan.session.Open(ctx, v.phase)
	if err != nil {
		return err
	}
	v.st.Database, v.st.Generation = v.scan.pipe().Database, string(v.scan.pipe().Generation)
	v.openStore()
	err = v.scan.inTx(ctx, v.scan.pipe().Reads(), func(tx pgx.Tx) error {
		row, err := pipeline.ReadState(ctx, tx, v.scan.pipe().Database)
		v.st.Watermark, v.scan.now = row.Watermark, row.Now
		return err
	})
	if err != nil {
		return v.explain(err)
	}
	return v.recognise(ctx)
}

// recognise leaves alone what is remembered of another life of the database: it excuses nothing.
func (v *Verifier) recognise(ctx context.Context) error {
	if v.scan.store == nil {
		return nil
	}
	m, err := v.scan.remembered()
	if err != nil {
		return err
	}
	var another string
	err = v.scan.session.Do(ctx, func(conn *pgx.Conn) (err error) {
		_, another, err = v.scan.pipe().Recognised(ctx, conn, m)
		return err
	})
	if err != nil {
		return v.explain(err)
	}
	if another != "" {
		v.warn(journal.IncarnationNew, "what is remembered is of another life of this database, so the outcome is not remembered until a run has set it aside: "+another)
		v.scan.store = nil
	}
	return nil
}

// openStore opens what the agent remembers: what it owes and what was given up.
func (v *Verifier) openStore() {
	err := v.scan.session.OpenStore()
	v.scan.store = v.scan.session.Store()
	switch {
	case v.scan.store == nil:
		v.warn(journal.StateUnwritable, "what the agent owes and what was given up is not known here, and the outcome is not remembered: "+err.Error())
	case err != nil:
		v.warn(journal.StateUnwritable, err.Error())
	}
}

// unknownColumns warns of counters that this program does not know, and so cannot compare.
func (v *Verifier) unknownColumns() {
	for _, column := range v.scan.pipe().Unknown {
		v.warn(journal.EngineFallback, column+", which was not compared")
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

func (v *Verifier) explain(err error) error { return v.scan.connector.Explain(err) }

// excuses are why a key may differ without being wrong, beside what the database itself says.
type excuses struct {
	from, to      []time.Time // windows of event time that the agent still has to roll up again
	givenUpBefore time.Time
}

// gapPatience is how long a gap that others left excuses a difference. The
// agent closes a gap within a run or two; where nobody does, what is in it is wrong.
const gapPatience = 24 * time.Hour
