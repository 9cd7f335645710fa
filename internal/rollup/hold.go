package rollup

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pause"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// shortPause is not worth a word.
const shortPause = time.Second

// hold returns when the next slice may start: after the pause that the last one
// has earned the database, and when no signal holds back any more.
func (w *Walker) hold(ctx context.Context) error {
	if w.opts.Throttle == nil {
		return nil
	}
	if w.worked > 0 {
		rest := w.opts.Throttle.Rest(w.worked)
		w.worked = 0
		if err := w.pauseFor(ctx, rest); err != nil {
			return err
		}
	}
	ask := func(step func(pg.Querier) error) error {
		return w.with(ctx, func(conn *pgx.Conn) error { return step(conn) })
	}
	return w.opts.Throttle.Wait(ctx, ask, w.throttled)
}

// pauseFor is the pause between two slices.
func (w *Walker) pauseFor(ctx context.Context, rest time.Duration) error {
	if rest <= 0 {
		return nil
	}
	if rest >= shortPause {
		w.st.Pausing = true
		w.throttled("pausing " + rest.Round(time.Millisecond).String() + " between slices")
		defer func() {
			w.st.Pausing = false
			w.throttled("")
		}()
	}
	return pause.For(ctx, rest)
}

// throttled shows why the backfill waits; "" means that it does no more.
func (w *Walker) throttled(reason string) {
	w.st.Throttle = reason
	w.tellWait()
}

// blocked shows what the work has to wait for; "" means that it goes on.
func (w *Walker) blocked(by string) {
	if by == "" && w.st.Blocked == "" {
		return
	}
	w.st.Blocked = by
	w.tellWait()
}

func (w *Walker) tellWait() {
	w.pace.stand(time.Now(), w.st.Stands())
	w.observe()
}

// unblocked notes that lock 4246 was had.
func (w *Walker) unblocked() {
	w.busySince, w.busyTold = time.Time{}, false
	w.blocked("")
}

// begin counts what a backfill has to do, unless the plan did, as soon as the
// throttle lets it read a whole table. Its place is kept by then: what waits is
// under way, and goes on after a reboot.
func (w *Walker) begin(ctx context.Context, p *BackfillPlan, o BackfillOptions) error {
	if p.uncounted {
		if err := w.hold(ctx); err != nil {
			return err
		}
		w.phase(report.Counting)
		if err := w.countMonths(ctx, p); err != nil {
			return err
		}
		p.uncounted = false
	}
	if o.Begins != nil {
		o.Begins()
	}
	w.pace.begin(time.Now(), p.Done)
	w.st.Progress = &report.Progress{Done: p.Done, Total: p.Total}
	w.phase(report.Walking)
	return nil
}
