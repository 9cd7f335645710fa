package rollup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// Run is one tick: it works off the queue, takes the watermark to the horizon
// and settles what is owed, for as long as the budget goes. How it went is in
// State; the error is nil also where lock 4246 was held by another all along,
// and a *problem.Error or ctx's error otherwise. Open comes first.
func (w *Walker) Run(ctx context.Context) error {
	err := w.tick(ctx)
	return w.finish(ctx, err)
}

func (w *Walker) tick(ctx context.Context) error {
	if w.opts.Budget > 0 {
		w.deadline = time.Now().Add(w.opts.Budget)
	}
	if err := w.locate(ctx); err != nil {
		return err
	}
	if w.standsBy() {
		return w.standBy(ctx)
	}
	// A queue that is never empty must not keep new usage waiting.
	whole := w.deadline
	if w.opts.Budget > 0 {
		w.deadline = time.Now().Add(w.opts.Budget / 2)
	}
	drained, err := w.drain(ctx)
	if err != nil {
		return err
	}
	w.deadline = whole
	arrived, err := w.forward(ctx)
	if err != nil {
		return err
	}
	w.phase(report.Settling)
	settled, err := w.settleDebts(ctx)
	if err != nil {
		return err
	}
	if !drained {
		if drained, err = w.drain(ctx); err != nil {
			return err
		}
	}
	w.st.Outcome = report.Current
	if !arrived || !settled || !drained {
		w.st.Outcome, w.st.Behind = report.Incomplete, true
	}
	return nil
}

// locate reads the watermark and the horizon, and mends a watermark in the future.
func (w *Walker) locate(ctx context.Context) error {
	for {
		err := w.with(ctx, func(conn *pgx.Conn) error {
			mark, now, err := w.readMark(ctx, conn)
			if err != nil {
				return err
			}
			if mark.After(now) {
				if mark, err = w.rewind(ctx, conn, mark); err != nil {
					return err
				}
			}
			w.st.Watermark = mark
			trusted, err := w.trusts(ctx, conn)
			if err != nil {
				return err
			}
			if trusted {
				err = w.trust(mark)
			} else {
				err = w.noticeMove(time.Time{}, mark)
			}
			if err != nil {
				return err
			}
			return w.lookAhead(ctx, conn)
		})
		switch {
		case err == nil:
			w.blocked("")
			return nil
		case pg.SQLState(err) != pg.StateLockNotAvailable:
			return w.explain(err)
		}
		if err := w.busy(ctx, err); err != nil {
			return err
		}
	}
}

// lookAhead reads the horizon anew.
func (w *Walker) lookAhead(ctx context.Context, conn *pgx.Conn) error {
	hold := w.opts.Walk.HorizonHold
	if w.pipe.Legacy {
		hold = min(hold, holdBefore103)
	}
	if w.store == nil {
		hold = -1
	}
	h, err := readHorizon(ctx, conn, w.doubtSince(w.st.Watermark), w.opts.Settle, hold)
	if err != nil {
		return err
	}
	w.horizon, w.st.Horizon, w.st.Held = h, h.At, h.Held
	if h.Held != "" {
		w.log.Info("an open transaction holds the horizon back", journal.HorizonHeld.Attr(),
			journal.Watermark(h.At), journal.Reason(h.Held))
	}
	if h.Hidden > 0 {
		w.warn(journal.ActivityHidden, fmt.Sprintf("%d sessions of other roles are hidden from role %s: when their transactions began cannot be seen; grant pg_read_all_stats to it", h.Hidden, w.pipe.User))
	}
	return nil
}

// rewind takes a watermark in the future back to the last point known to be
// true: our own memory of it, else the beginning. It is the one exception to
// the watermark's never moving back.
func (w *Walker) rewind(ctx context.Context, conn *pgx.Conn, mark time.Time) (time.Time, error) {
	var remembered ledger.Memory
	if w.store != nil {
		if m, err := w.store.Load(); err == nil {
			remembered = m
		}
	}
	var was, truth time.Time
	settings := w.settings()
	err := pg.InTx(ctx, conn, settings, func(tx pgx.Tx) error {
		if err := pg.Lock(ctx, tx); err != nil {
			return err
		}
		var now time.Time
		var err error
		if _, now, err = w.watermark(ctx, tx); err != nil {
			return err
		}
		truth = remembered.RewindTo(now)
		if err := tx.QueryRow(ctx, statement("state_rewind", false), truth).Scan(&was); err != nil {
			return err
		}
		return w.pipe.Recheck(ctx, tx)
	})
	if errors.Is(err, pgx.ErrNoRows) { // somebody else was faster
		mark, _, err = w.readMark(ctx, conn)
		return mark, err
	}
	if err != nil {
		return mark, fmt.Errorf("taking the watermark back from the future: %w", err)
	}
	w.log.Error(fmt.Sprintf("the watermark lay in the future (%s) and was taken back to %s", stamp(was), stamp(truth)),
		journal.WatermarkInFuture.Attr(), journal.Watermark(truth))
	w.st.Warn("the watermark lay in the future (" + stamp(was) + ") and was taken back to " + stamp(truth))
	return truth, w.remember(func(m *ledger.Memory) { m.Rewound(truth) })
}

// forward takes the watermark to the horizon. False means that the budget ended first.
func (w *Walker) forward(ctx context.Context) (bool, error) {
	w.phase(report.Walking)
	start := w.st.Watermark
	if !start.Before(w.horizon.At) {
		// Nothing is due; the database's own account of the last run stays right all the same.
		return true, w.stampOnly(ctx, time.Unix(0, 0), w.st.Rows)
	}
	pass := Pass{Start: start, End: w.horizon.At}
	created, err := w.oldestUsage(ctx)
	if err != nil {
		return false, err
	}
	planner, err := w.newPlanner(ctx, pass, created)
	if err != nil {
		return false, err
	}
	return w.walk(ctx, &leg{cursor: start, end: pass.End, moves: true, strict: true, planner: planner})
}

// newPlanner plans a pass that moves the watermark. created is the oldest
// creation time of raw usage, zero where there is none.
func (w *Walker) newPlanner(ctx context.Context, pass Pass, created time.Time) (planner, error) {
	p := planner{
		pass: pass, byHours: !w.engine.OneSnapshot(),
		history: w.engine.Name() == "set" && !created.IsZero() && !created.Before(pass.Start),
	}
	if !p.history {
		return p, nil
	}
	err := w.reading(ctx, func(tx pgx.Tx) error {
		defer pg.ReadsWholeTable(tx.Conn())()
		return tx.QueryRow(ctx, statement("plan_odd_any", false)).Scan(&p.odd)
	})
	if err != nil {
		return p, w.explain(fmt.Errorf("looking for usage corrected before it was created: %w", err))
	}
	return p, nil
}

func (w *Walker) oldestUsage(ctx context.Context) (created time.Time, err error) {
	err = w.reading(ctx, func(tx pgx.Tx) (err error) {
		_, w.st.Newest, created, err = readSpan(ctx, tx)
		return err
	})
	if err != nil {
		return created, w.explain(err)
	}
	return created, nil
}

// farewell bounds what is still told the database after a failure.
const farewell = 3 * time.Second

// finish turns the end of the work into an outcome, in the state, in memory
// and, for a failure, in the database.
func (w *Walker) finish(ctx context.Context, err error) error {
	busy, isBusy := errors.AsType[*BusyError](err)
	switch {
	case err == nil:
	case isBusy:
		w.st.Outcome, w.st.Holder = report.Busy, busy.Holders
		if problem.KindOf(err) != problem.TryAgain { // to a tick it is no failure
			err = nil
		}
	case errors.Is(err, context.Canceled):
		w.st.Outcome = report.Interrupted
		err = nil
	default:
		refused := pipeline.IsRefusal(err)
		err = w.explain(err)
		w.st.Outcome, w.st.Error = report.Failed, w.connector.Redact(err.Error())
		if !refused { // which means that nothing is to be written, this neither
			w.recordError(ctx)
		}
	}
	w.st.Phase, w.st.Finished, w.st.Throttle, w.st.Blocked = report.Done, time.Now(), "", ""
	rerr := w.remember(func(m *ledger.Memory) {
		m.Finish(ledger.Run{
			Started: w.st.Started, Finished: w.st.Finished, OK: w.st.Outcome != report.Failed,
			Error: w.st.Error, Rows: w.st.Rows, Events: w.st.Read,
		}, w.st.Watermark)
	})
	if rerr != nil {
		w.warn(journal.StateUnwritable, rerr.Error())
	}
	w.observe()
	return err
}

// recordError keeps the failure in the state row, in a transaction of its own;
// the database's own function loses it with its rollback.
func (w *Walker) recordError(ctx context.Context) {
	if !w.session.Connected() || w.pipe == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	settings := w.settings()
	err := w.session.Do(ctx, func(conn *pgx.Conn) error {
		return pg.InTx(ctx, conn, settings, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, statement("state_error", false), w.started, "multica-rollup: "+w.st.Error)
			return err
		})
	})
	if err != nil {
		w.log.Debug("could not record last_error", journal.Reason(w.connector.Redact(err.Error())))
	}
}
