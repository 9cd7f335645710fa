package rollup

import (
	"context"
	"errors"

	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

// PlanBackfill finds out what a backfill would do, from real counts. It writes
// nothing. A backfill that would silently leave history out is refused with a
// problem of kind Usage, one that lacks a privilege with one of kind Permission,
// and one beside another with the same state directory with one of kind TryAgain.
// From here on the state directory says that a backfill is at work, to the end of
// Backfill or of the walker.
func (w *Walker) PlanBackfill(ctx context.Context, o BackfillOptions) (*BackfillPlan, error) {
	if err := w.beginWork(); err != nil {
		return nil, err
	}
	plan, err := w.survey().plan(ctx, o)
	return plan, tryAgain(err)
}

func (w *Walker) beginWork() (err error) {
	store := w.walk.mem.store
	if store == nil || w.opts.DryRun || w.work != nil {
		return nil
	}
	w.work, err = store.BeginBackfill()
	if other, ok := errors.AsType[*state.AtWorkError](err); ok {
		return problem.Wrap(other, problem.TryAgain, "multica-rollup status shows how far it is; begin when it has ended", "%s", other.Error())
	}
	return w.walk.mem.unwritable(err)
}

func (w *Walker) endWork() {
	w.work.End()
	w.work = nil
}

func (w *Walker) survey() *survey {
	return &survey{db: w.db, mem: w.walk.mem, rep: w.rep, at: w.at, engine: w.walk.write.engine, dryRun: w.opts.DryRun}
}

// Backfill carries out a plan: the pass over history, then the walk to the
// horizon, what was deferred, and the queue. It can be interrupted at any instant;
// the next one goes on. Its errors are as Run's, except that a lock held by
// another all along is a problem of kind TryAgain.
func (w *Walker) Backfill(ctx context.Context, plan *BackfillPlan, o BackfillOptions) error {
	defer w.endWork()
	p := &pass{plan: plan, asked: o, survey: w.survey(), walk: w.walk, at: w.at}
	passed, err := p.run(ctx)
	switch {
	case err != nil:
	case passed:
		err = w.arrive(ctx)
	default:
		w.rep.st.Outcome = report.Incomplete
	}
	return w.finish(ctx, tryAgain(err))
}

// tryAgain has a backfill end with a problem where others were in its way all along.
func tryAgain(err error) error {
	if busy, ok := errors.AsType[*BusyError](err); ok {
		return problem.Wrap(busy, problem.TryAgain, "multica-rollup backfill goes on from here when the other is done", "%s", busy.Error())
	}
	return err
}

// arrive goes on as the walk: what came while history was rolled up, what was
// deferred, the queue. Then the backfill is done and its checkpoint is forgotten.
func (w *Walker) arrive(ctx context.Context) error {
	if err := w.at.locate(ctx); err != nil {
		return err
	}
	if err := w.at.deferPassed(w.rep.st.Watermark); err != nil {
		return err
	}
	if _, err := w.walk.forward(ctx, budget{}, w.at); err != nil {
		return err
	}
	w.rep.phase(report.Settling)
	if _, err := w.walk.settle(ctx, budget{}, w.at.horizon); err != nil {
		return err
	}
	if _, err := w.walk.drain(ctx, budget{}, w.at.horizon.At); err != nil {
		return err
	}
	w.rep.st.Outcome = report.Current
	return w.walk.mem.clearCheckpoint()
}
