package rollup

import (
	"log/slog"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup/engine"
)

// reporter keeps the one state that all accounts of the work are rendered from, and writes the log.
type reporter struct {
	st     *report.State
	notify func(*report.State) // may be nil
	pace   pace
	log    *slog.Logger
}

func newReporter(connector *pg.Connector, opts Options) *reporter {
	return &reporter{notify: opts.Observe, log: opts.Log, st: &report.State{
		SchemaVersion: report.SchemaVersion, Command: opts.Command, Target: connector.Target(),
		Phase: report.Connecting, Started: time.Now(),
	}}
}

// found reports what the database is and which engine is used; reason says why it is not the set engine.
func (r *reporter) found(p *pipeline.Pipeline, engine, reason string) {
	r.st.Database, r.st.Generation = p.Database, string(p.Generation)
	r.st.Engine, r.st.EngineReason = engine, reason
	if reason != "" {
		r.log.Warn("using the database's own function, whose cost grows with history",
			journal.EngineFallback.Attr(), journal.Engine(engine), journal.Reason(reason), journal.Hint("multica-rollup doctor"))
	}
}

func (r *reporter) observe() {
	if r.notify != nil {
		r.notify(r.st)
	}
}

func (r *reporter) phase(p report.Phase) {
	r.st.Phase = p
	r.observe()
}

// warn logs a warning once and keeps it in the state.
func (r *reporter) warn(event journal.Event, text string, fields ...any) {
	if r.st.Warn(text) {
		r.log.Warn(text, append([]any{event.Attr()}, fields...)...)
	}
}

// throttled shows why the backfill waits; "" means that it does no more.
func (r *reporter) throttled(reason string) {
	r.st.Throttle = reason
	r.waits()
}

// blocked shows what the work has to wait for; "" means that it goes on.
func (r *reporter) blocked(by string) {
	if by == "" && r.st.Blocked == "" {
		return
	}
	r.st.Blocked = by
	r.waits()
}

func (r *reporter) waits() {
	r.pace.stand(time.Now(), r.st.Stands())
	r.observe()
}

// count adds one committed transaction to the state.
func (r *reporter) count(did engine.Result, held time.Duration) {
	r.st.Slices++
	r.st.Rows += did.Written + did.Deleted
	r.st.Read += did.Read
	r.st.Drained += did.Drained
	r.st.SliceDuration = held
	r.st.LongestHold = max(r.st.LongestHold, held)
	r.st.Queue = max(0, r.st.Queue-did.Drained)
	r.observe()
}

// progress renews the figures that progress is shown by. rest is the pause that what is done has cost already.
func (r *reporter) progress(done, total int64, rest time.Duration) {
	p := &report.Progress{Done: done, Total: total, PerSecond: r.pace.reach(time.Now(), done, rest)}
	if p.PerSecond > 0 {
		p.ETASecs = float64(total-done) / p.PerSecond
		p.ETA = time.Duration(p.ETASecs * float64(time.Second))
	}
	r.st.Progress = p
	r.observe()
}
