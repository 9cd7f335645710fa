package property_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
	"github.com/multica-rollup/multica-rollup/internal/verify"
)

// agent is one installation of the program, with a state directory of its own.
type agent struct {
	w    *world
	dir  string
	seen int // of the world's moved, when the last whole run began
}

func newAgent(w *world) *agent { return &agent{w: w, dir: w.t.TempDir()} }

// options draws how the agent works this time; between is called between its slices.
func (a *agent) options(command string, cancel context.CancelFunc, between func()) rollup.Options {
	w := a.w
	walk := config.Defaults().Walk
	walk.LockTimeout = 40 * time.Millisecond
	walk.HorizonHold = pick(w.rng, []time.Duration{0, time.Hour})
	settle := w.trail
	if w.simulate {
		settle = time.Since(w.now)
	}
	engine := pick(w.rng, []string{"set", "set", "function"})
	if w.ours {
		engine = "set"
	}
	var stopAfter int64
	if w.chance(0.3) {
		stopAfter = 1 + w.rng.Int64N(6)
	}
	return rollup.Options{
		Command: command, Engine: engine, Known: pipeline.Shipped(), Walk: walk, HorizonDelay: settle,
		FixedSize: pick(w.rng, []int{2, 7, 30, 500}), Reconnect: 5 * time.Second, LockPatience: 80 * time.Millisecond,
		StateDir: a.dir, Log: slog.New(slog.DiscardHandler),
		Observe: func(st *report.State) {
			if cancel != nil && stopAfter > 0 && st.Slices >= stopAfter {
				cancel()
			}
			if between != nil && st.Phase != report.Connecting && st.Phase != report.Inspecting && st.Phase != report.Done {
				between()
			}
		},
	}
}

func (a *agent) walker(o rollup.Options) *rollup.Walker {
	a.w.t.Helper()
	connector, err := pg.NewConnector(a.w.dsn, "multica-rollup/"+o.Command)
	if err != nil {
		a.w.t.Fatal(err)
	}
	w := rollup.New(connector, o)
	if err := w.Open(context.Background()); err != nil {
		a.w.t.Fatalf("opening: %v", err)
	}
	return w
}

// run makes one tick, which may be interrupted.
func (a *agent) run(between func()) *report.State {
	w := a.w
	w.t.Helper()
	odds := 0.04
	if len(w.open)+len(w.prepared) > 0 {
		odds = 0.1
	}
	if between == nil && len(a.files()) > 0 && w.chance(odds) {
		a.forget()
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := a.options("run", cancel, between)
	w.logf("run: %s engine, slices of %d, hold %s", o.Engine, o.FixedSize, o.Walk.HorizonHold)
	moved := w.moved
	walker := a.walker(o)
	defer walker.Close(context.Background())
	if err := walker.Run(ctx); err != nil {
		w.t.Fatalf("run: %v", err)
	}
	st := walker.State()
	w.logf("  %s at %s, %d slices, %d owed", st.Outcome, st.Watermark.UTC(), st.Slices, st.Debts)
	if st.Outcome == report.Current {
		a.seen = moved
	}
	if between == nil && st.Outcome == report.Current {
		w.exactNow()
	}
	return st
}

// backfill carries out, or only plans, a backfill with any flags.
func (a *agent) backfill(between func()) {
	w := a.w
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b := rollup.BackfillOptions{ForcePartial: w.chance(0.3), Restart: w.chance(0.3)}
	switch w.rng.IntN(4) {
	case 0:
		b.MonthsBack = 1 + w.rng.IntN(4)
	case 1:
		b.From = time.Now().Add(-time.Duration(w.rng.IntN(24*60)) * time.Hour)
	}
	o := a.options("backfill", cancel, between)
	w.logf("backfill %+v: %s engine, slices of %d, hold %s", b, o.Engine, o.FixedSize, o.Walk.HorizonHold)
	walker := a.walker(o)
	defer walker.Close(context.Background())
	plan, err := walker.PlanBackfill(ctx, b)
	if problem.KindOf(err) == problem.Usage || (err != nil && strings.Contains(err.Error(), "in the future")) {
		w.logf("  refused: %v", err)
		return
	}
	if err != nil {
		w.t.Fatalf("planning a backfill: %v", err)
	}
	if w.chance(0.1) {
		return // --dry-run
	}
	err = walker.Backfill(ctx, plan, b)
	w.needsBackfill = w.needsBackfill || a.memory().GivenUp != nil
	if err != nil && problem.KindOf(err) != problem.TryAgain {
		w.t.Fatalf("backfill: %v", err)
	}
	w.logf("  %s at %s, %d slices, %d owed", walker.State().Outcome, walker.State().Watermark.UTC(), walker.State().Slices, walker.State().Debts)
}

// forget loses the state directory, or damages what is in it. What was deferred, or
// not yet noticed, only a recount finds then; where nobody but agents with the set
// engine rolls up, a backfill of everything does when all transactions have ended.
func (a *agent) forget() {
	w := a.w
	m := a.memory()
	mark := get[time.Time](w, "select least(watermark_at, '9998-01-01 00:00:00+00') from task_usage_hourly_rollup_state")
	if len(w.open)+len(w.prepared)+len(m.Deferred) > 0 || (!mark.Equal(m.Committed) && !mark.Equal(m.Planned)) {
		w.needsBackfill, w.needsVerify = true, w.needsVerify || !w.ours
	}
	w.logf("state directory lost (backfill needed: %v, recount needed: %v)", w.needsBackfill, w.needsVerify)
	for _, f := range a.files() {
		var err error
		if w.chance(0.5) {
			err = os.Remove(f)
		} else {
			err = os.WriteFile(f, []byte(`{"version": 1, "debts": [`), 0o600)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func (a *agent) files() []string {
	files, err := filepath.Glob(filepath.Join(a.dir, "*.json"))
	if err != nil {
		a.w.t.Fatal(err)
	}
	return files
}

// memory reads what the agent remembers.
func (a *agent) memory() (m ledger.Memory) {
	a.w.t.Helper()
	for _, f := range a.files() {
		if strings.HasSuffix(f, ".backfill.json") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			a.w.t.Fatal(err)
		}
		if err := json.Unmarshal(b, &m); err != nil {
			a.w.t.Fatalf("%s: %v", f, err)
		}
	}
	return m
}

// exactNow demands exactness in mid-sequence, where nothing is left that could excuse a difference.
func (w *world) exactNow() {
	w.t.Helper()
	if w.needsVerify || w.needsBackfill || len(w.open)+len(w.prepared) > 0 {
		return
	}
	for _, a := range w.agents {
		if len(a.memory().Deferred) > 0 || a.seen != w.moved {
			return // what one agent has not noticed yet another may never
		}
	}
	if w.queued() > 0 { // younger than the horizon, which the database's function does not go beyond
		return
	}
	w.exact("after a run that left nothing owed")
}

func (w *world) queued() int64 { return get[int64](w, "select count(*) from task_usage_hourly_dirty") }

func (w *world) exact(when string) {
	w.t.Helper()
	diffs, err := lab.Oracle(context.Background(), w.conn)
	if w.trails() { // what is younger than the horizon is nobody's to roll up yet
		mark := get[time.Time](w, "select watermark_at from task_usage_hourly_rollup_state")
		diffs, err = lab.OracleBefore(context.Background(), w.conn, mark)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	for i, d := range diffs {
		if i == 5 {
			break
		}
		w.t.Log(d)
	}
	if len(diffs) > 0 {
		w.t.Fatalf("%s %d hourly rows differ from the raw usage", when, len(diffs))
	}
}

// settle ends what is open, lets every agent work until it is done, and asks the oracle.
func (w *world) settle() {
	w.t.Helper()
	w.logf("settling")
	w.endAll()
	w.trail = time.Microsecond
	for _, a := range w.agents {
		a.work()
	}
	if w.needsBackfill {
		for _, a := range w.agents {
			a.backfillAll()
		}
	}
	if w.needsVerify {
		w.agents[0].verify()
	}
	w.exact("in the end")
}

// work runs until nothing is left to do.
func (a *agent) work() {
	w := a.w
	w.t.Helper()
	for range 30 {
		if st := a.run(nil); st.Outcome == report.Current && len(a.memory().Deferred) == 0 && w.queued() == 0 {
			return
		}
	}
	w.t.Fatalf("after thirty runs there is still something owed, %+v, or one of %d keys queued", a.memory().Deferred, w.queued())
}

// backfillAll rolls everything up, what was given up included.
func (a *agent) backfillAll() {
	w := a.w
	w.t.Helper()
	walker := a.walker(a.options("backfill", nil, nil))
	defer walker.Close(context.Background())
	o := rollup.BackfillOptions{Restart: true}
	plan, err := walker.PlanBackfill(context.Background(), o)
	if err == nil {
		err = walker.Backfill(context.Background(), plan, o)
	}
	if err != nil {
		w.t.Fatalf("backfilling everything: %v", err)
	}
	if g := a.memory().GivenUp; g != nil {
		w.t.Fatalf("a backfill of everything left given up: %+v", g)
	}
}

// verify recounts and has repaired what is wrong.
func (a *agent) verify() {
	w := a.w
	w.t.Helper()
	w.logf("verify --repair")
	connector, err := pg.NewConnector(w.db.DSN, "multica-rollup/verify")
	if err != nil {
		w.t.Fatal(err)
	}
	v := verify.New(connector, verify.Options{
		Repair: true, Engine: pick(w.rng, []string{"set", "function"}), Known: pipeline.Shipped(), Walk: config.Defaults().Walk,
		StateDir: a.dir, List: 10, Pause: time.Millisecond, Log: slog.New(slog.DiscardHandler),
	})
	defer v.Close(context.Background())
	if _, err := v.Verify(context.Background()); err != nil {
		w.t.Fatalf("verify: %v", err)
	}
}
