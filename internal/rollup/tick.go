package rollup

import (
	"context"
	"errors"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// Run is one tick: it works off the queue, takes the watermark to the horizon
// and settles what was deferred, for as long as the budget goes. How it went is in
// State; the error is nil also where lock 4246 was held by another all along,
// and a *problem.Error or ctx's error otherwise. Open comes first.
func (w *Walker) Run(ctx context.Context) error {
	return w.finish(ctx, w.tick(ctx))
}

func (w *Walker) tick(ctx context.Context) error {
	b := lasting(w.opts.Budget)
	if err := w.at.locate(ctx); err != nil {
		return err
	}
	if w.standsBy() {
		return w.standBy(ctx, b)
	}
	if err := w.at.deferPassed(w.rep.st.Watermark); err != nil {
		return err
	}
	// A queue that is never empty must not keep new usage waiting.
	drained, err := w.walk.drain(ctx, lasting(w.opts.Budget/2), w.at.horizon.At)
	if err != nil {
		return err
	}
	arrived, err := w.walk.forward(ctx, b, w.at)
	if err != nil {
		return err
	}
	w.rep.phase(report.Settling)
	settled, err := w.walk.settle(ctx, b, w.at.horizon)
	if err != nil {
		return err
	}
	if !drained {
		if drained, err = w.walk.drain(ctx, b, w.at.horizon.At); err != nil {
			return err
		}
	}
	w.rep.st.Outcome = report.Current
	if !arrived || !settled || !drained {
		w.rep.st.Outcome, w.rep.st.Behind = report.Incomplete, true
	}
	return nil
}

// farewell bounds what is still told the database after a failure.
const farewell = 3 * time.Second

// finish turns the end of the work into an outcome, in the state, in memory
// and, for a failure, in the database.
func (w *Walker) finish(ctx context.Context, err error) error {
	st := w.rep.st
	busy, isBusy := errors.AsType[*BusyError](err)
	switch {
	case err == nil:
	case isBusy:
		st.Outcome, st.Holder = report.Busy, busy.Holders
		if problem.KindOf(err) != problem.TryAgain { // to a tick it is no failure
			err = nil
		}
	case errors.Is(err, context.Canceled):
		st.Outcome = report.Interrupted
		err = nil
	default:
		refused := pipeline.IsRefusal(err) || pg.MayNotWrite(err)
		err = w.db.explain(err)
		st.Outcome, st.Error = report.Failed, w.db.connector.Redact(err.Error())
		if !refused { // which means that nothing is to be written, this neither
			w.recordError(ctx)
		}
	}
	st.Phase, st.Finished, st.Throttle, st.Blocked = report.Done, time.Now(), "", ""
	run := ledger.Run{
		Started: st.Started, Finished: st.Finished, OK: st.Outcome != report.Failed,
		Error: st.Error, Rows: st.Rows, Events: st.Read,
	}
	note := w.note(ctx)
	if err := w.walk.mem.change(func(m *ledger.Memory) { m.Finish(run, st.Watermark); note(m) }); err != nil {
		w.rep.warn(journal.StateUnwritable, err.Error())
	}
	w.rep.observe()
	return err
}

// note reads what memory is saved with, where the database can still be reached; without it what is remembered is a little older.
func (w *Walker) note(ctx context.Context) func(*ledger.Memory) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	note, err := w.at.leave(ctx)
	if err != nil {
		w.rep.log.Debug("could not note where the database stands", journal.Reason(w.db.connector.Redact(err.Error())))
	}
	return note
}

// recordError keeps the failure in the database, where it can still be reached.
func (w *Walker) recordError(ctx context.Context) {
	if !w.db.session.Connected() || w.db.pipe() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := w.walk.write.failure(ctx, "multica-rollup: "+w.rep.st.Error); err != nil {
		w.rep.log.Debug("could not record last_error", journal.Reason(w.db.connector.Redact(err.Error())))
	}
}
