package rollup

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/horizon"
	"github.com/multica-rollup/multica-rollup/internal/instant"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup/engine"
	"github.com/multica-rollup/multica-rollup/internal/sizing"
)

// leg is one stretch of event time to walk.
type leg struct {
	cursor, end time.Time
	planner     engine.Planner
	horizon     horizon.Horizon                               // what is open beside it
	moves       bool                                          // the watermark goes along, wherever the leg leads it
	strict      bool                                          // the watermark must be where the cursor is
	done        func(cursor time.Time, r engine.Result) error // after each step, under no lock; may be nil
}

// validAt says whether a leg at its cursor may go on with the watermark where it is. A moving leg
// never stands before the watermark: where the server lost it in a crash, or somebody reset it, the
// walk goes back with it.
func (l *leg) validAt(mark time.Time) bool {
	return !(l.moves && mark.Before(l.cursor)) && !(l.strict && mark.After(l.cursor))
}

// walk takes legs from their beginning to their end, slice by slice.
type walk struct {
	db        *database
	write     *writer
	mem       *memory
	wait      *lockWait
	throttler *throttler
	rep       *reporter
	size      sizing.Size // usage rows aimed at for the next slice
}

// walkLeg takes a leg to its end; false means that the budget ended first.
func (w *walk) walkLeg(ctx context.Context, b budget, l *leg) (arrived bool, err error) {
	for l.cursor.Before(l.end) {
		if b.spent() {
			return false, nil
		}
		plan, err := w.plan(ctx, l)
		if err != nil {
			return false, err
		}
		did, err := w.commit(ctx, b, l, plan)
		moved, others := errors.AsType[*movedError](err)
		switch {
		case err == nil:
			err = w.afterCommit(l, plan, did)
		case others:
			err = w.follow(l, moved.to)
		case errors.Is(err, errOutOfTime):
			return false, nil
		case ctx.Err() == nil && pg.SQLState(err) == pg.StateQueryCanceled:
			err = w.smaller(l, plan, err)
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// forward takes the watermark to the horizon. False means that the budget ended first.
func (w *walk) forward(ctx context.Context, b budget, at *position) (bool, error) {
	w.rep.phase(report.Walking)
	start, h := w.rep.st.Watermark, at.horizon
	if !start.Before(h.At) {
		// Nothing is due; the database's own account of the last run stays right all the same.
		return true, w.stamp(ctx, time.Unix(0, 0), w.rep.st.Rows)
	}
	usage, err := at.usage(ctx)
	if err != nil {
		return false, err
	}
	planner, err := w.write.engine.Plan(ctx, w.db.read, engine.Pass{Start: start, End: h.At}, usage.created)
	if err != nil {
		return false, w.db.explain(err)
	}
	return w.walkLeg(ctx, b, &leg{cursor: start, end: h.At, planner: planner, horizon: h, moves: true, strict: true})
}

// plan finds where the next slice of a leg ends.
func (w *walk) plan(ctx context.Context, l *leg) (p engine.Plan, err error) {
	err = w.db.read(ctx, func(tx pgx.Tx) (err error) {
		p, err = l.planner.Next(ctx, tx, l.cursor, l.end, w.size.Rows())
		return err
	})
	return p, err
}

// commit commits the slices of a plan, each in one transaction, and returns what they did.
func (w *walk) commit(ctx context.Context, b budget, l *leg, p engine.Plan) (total committed, err error) {
	for i, s := range p.Slices {
		o := sliceOptions{leg: l, moveWatermark: l.moves && i == len(p.Slices)-1, rows: w.rep.st.Rows}
		var did committed
		err := w.wait.retry(ctx, b, func() (err error) {
			if p.Events > 0 { // nothing is waited for where nothing is left to do
				if err := w.throttler.wait(ctx); err != nil {
					return err
				}
			}
			did, err = w.write.slice(ctx, s, o)
			return err
		})
		if err != nil {
			return total, err
		}
		w.note(s, did)
		total.Add(did.Result)
		total.held += did.held
	}
	return total, nil
}

// note reports a committed slice.
func (w *walk) note(s engine.Slice, did committed) {
	w.throttler.worked = did.held
	w.rep.st.Watermark = instant.Later(w.rep.st.Watermark, did.watermark)
	w.rep.st.SliceFrom, w.rep.st.SliceTo = s.From, s.To
	w.rep.count(did.Result, did.held)
	w.rep.log.Debug("rolled up a slice", journal.SliceDone.Attr(), journal.SliceFrom(s.From), journal.SliceTo(s.To),
		journal.Rows(did.Written+did.Deleted), journal.Duration(did.held), journal.Engine(w.write.engine.Name()))
}

// afterCommit goes on after a plan has been committed.
func (w *walk) afterCommit(l *leg, p engine.Plan, did committed) error {
	l.cursor = p.To
	w.size.Took(did.held/time.Duration(len(p.Slices)), p.Full)
	if l.done == nil {
		return nil
	}
	return l.done(l.cursor, did.Result)
}

// follow goes on where others have moved the watermark.
func (w *walk) follow(l *leg, to time.Time) error {
	if err := w.mem.noticeMove(l.cursor, to); err != nil {
		return err
	}
	l.cursor, l.planner = to, l.planner.StartAt(to)
	w.rep.st.Watermark = to
	return nil
}

// smaller has the next plan aim at half, after a slice that ran into the statement timeout.
func (w *walk) smaller(l *leg, p engine.Plan, err error) error {
	if !w.size.Cut(2) {
		s := p.Slices[0]
		return problem.Wrap(err, problem.Failed, "raise walk.statement_timeout in the configuration, or look for what slows the database down",
			"rolling up %s to %s does not end within %s, and it cannot be cut any smaller", instant.Stamp(s.From), instant.Stamp(s.To), w.db.walk.StatementTimeout)
	}
	w.rep.log.Info("a slice ran into the statement timeout, trying half of it", journal.SliceRetried.Attr(),
		journal.SliceFrom(l.cursor), journal.SliceTo(p.To))
	return nil
}

// stamp moves the watermark to a point, or nowhere if it is there already, without rolling up.
func (w *walk) stamp(ctx context.Context, to time.Time, rows int64) error {
	return w.wait.retry(ctx, budget{}, func() error {
		mark, err := w.write.stamp(ctx, to, rows)
		if err == nil {
			w.rep.st.Watermark = mark
		}
		return err
	})
}
