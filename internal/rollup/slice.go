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
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// errLockTaken: lock 4246 went to another between our waiting for it and our transaction.
var errLockTaken = errors.New("advisory lock 4246 was taken by another")

// movedError: under the lock, the watermark is not where the walk stands.
type movedError struct{ to time.Time }

func (e *movedError) Error() string { return "the watermark was moved to " + stamp(e.to) }

// leg is one stretch of event time to walk.
type leg struct {
	cursor, end time.Time
	planner     planner
	moves       bool                                   // the watermark goes along, wherever the leg leads it
	strict      bool                                   // the watermark must be where the cursor is
	queue       bool                                   // there is work whatever the number of events
	done        func(cursor time.Time, r Result) error // after each step, under no lock
}

// walk takes a leg to its end, or to the end of the budget, which it tells by false.
func (w *Walker) walk(ctx context.Context, l *leg) (bool, error) {
	for l.cursor.Before(l.end) {
		if w.outOfTime() {
			return false, nil
		}
		var p plan
		err := w.reading(ctx, func(tx pgx.Tx) (err error) {
			p, err = l.planner.next(ctx, tx, l.cursor, l.end, w.size)
			return err
		})
		if err != nil {
			return false, err
		}
		total, took, err := w.step(ctx, l, p)
		if again, err := w.recover(ctx, l, p, err); err != nil {
			return false, err
		} else if again {
			continue
		}
		l.cursor = p.to
		if w.opts.FixedSize == 0 {
			w.size = resize(w.size, took/time.Duration(len(p.slices)), w.opts.Walk.SliceTarget, p.full)
		}
		if l.done != nil {
			if err := l.done(l.cursor, total); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// step commits the slices of one plan, and returns what they did and how long they worked.
func (w *Walker) step(ctx context.Context, l *leg, p plan) (total Result, took time.Duration, err error) {
	for i, s := range p.slices {
		var r Result
		var worked time.Duration
		last := i == len(p.slices)-1
		if p.events > 0 || l.queue { // nothing is waited for where nothing is left to do
			if err := w.hold(ctx); err != nil {
				return total, took, err
			}
		}
		err := w.with(ctx, func(conn *pgx.Conn) (err error) {
			r, worked, err = w.commit(ctx, conn, l, s, last)
			return err
		})
		if err != nil {
			return total, took, err
		}
		if r.Read == 0 && w.engine.OneSnapshot() {
			r.Read = p.events
		}
		w.worked = worked
		w.unblocked()
		w.st.SliceFrom, w.st.SliceTo = s.From, s.To
		w.count(r, worked)
		total.add(r)
		took += worked
		w.log.Debug("rolled up a slice", journal.SliceDone.Attr(), journal.SliceFrom(s.From), journal.SliceTo(s.To),
			journal.Rows(r.Written+r.Deleted), journal.Duration(worked), journal.Engine(w.engine.Name()))
	}
	return total, took, nil
}

// recover answers a step's error: again means that the walk goes on with another plan.
func (w *Walker) recover(ctx context.Context, l *leg, p plan, err error) (again bool, _ error) {
	moved, isMoved := errors.AsType[*movedError](err)
	switch {
	case err == nil:
		return false, nil
	case isMoved:
		if err := w.noticeMove(l.cursor, moved.to); err != nil {
			return false, err
		}
		l.cursor, l.planner = moved.to, l.planner.startAt(moved.to)
		w.st.Watermark = moved.to
		return true, nil
	case ctx.Err() != nil:
		return false, err
	case pg.SQLState(err) == pg.StateLockNotAvailable, errors.Is(err, errLockTaken):
		return true, w.busy(ctx, err)
	case pg.SQLState(err) == pg.StateQueryCanceled:
		if w.size <= floorSize {
			s := p.slices[0]
			return false, problem.Wrap(err, problem.Failed, "raise walk.statement_timeout in the configuration, or look for what slows the database down",
				"rolling up %s to %s does not end within %s, and it cannot be cut any smaller", stamp(s.From), stamp(s.To), w.opts.Walk.StatementTimeout)
		}
		w.size = max(floorSize, w.size/2)
		w.log.Info("a slice ran into the statement timeout, trying half of it", journal.SliceRetried.Attr(),
			journal.SliceFrom(l.cursor), journal.SliceTo(p.to))
		return true, nil
	}
	return false, w.explain(err)
}

// commit rolls up one slice in one transaction: lock, look where the watermark
// is, roll up, move the watermark to the slice's end. It returns how long the
// lock was held.
func (w *Walker) commit(ctx context.Context, conn *pgx.Conn, l *leg, s Slice, last bool) (r Result, held time.Duration, err error) {
	settings := w.settings()
	settings.RepeatableRead = w.engine.OneSnapshot()
	if settings.RepeatableRead {
		if err := w.queue(ctx, conn); err != nil {
			return r, 0, err
		}
	}
	var locked, moved time.Time
	err = pg.InTx(ctx, conn, settings, func(tx pgx.Tx) error {
		if err := w.lock(ctx, tx, settings.RepeatableRead); err != nil {
			return err
		}
		locked = time.Now()
		mark, _, err := w.watermark(ctx, tx)
		if err != nil {
			return err
		}
		// A moving leg never stands before the watermark: where the server lost it
		// in a crash, or somebody reset it, the walk goes back with it.
		if (l.moves && mark.Before(l.cursor)) || (l.strict && mark.After(l.cursor)) {
			return &movedError{to: mark}
		}
		if r, err = w.engine.Roll(ctx, tx, s); err != nil {
			return err
		}
		if err := w.pipe.Recheck(ctx, tx); err != nil {
			return err
		}
		advance := l.moves && last && s.To.After(mark)
		if err := w.intend(mark, s.To, advance, l.strict); err != nil {
			return err
		}
		if !advance {
			return nil
		}
		// What moves the watermark may be lost with it by a crash of the server; what does not may not.
		if err := pg.AsyncCommit(ctx, tx); err != nil {
			return err
		}
		moved, err = w.advance(ctx, tx, s.To, w.st.Rows+r.Written+r.Deleted)
		return err
	})
	if err != nil {
		return Result{}, 0, err
	}
	w.st.Watermark = later(w.st.Watermark, moved)
	return r, time.Since(locked), nil
}

// queue waits for lock 4246 and lets go of it again: a REPEATABLE READ
// transaction has its snapshot before it has the lock, so it cannot wait in it.
func (w *Walker) queue(ctx context.Context, conn *pgx.Conn) error {
	return pg.InTx(ctx, conn, w.settings(), func(tx pgx.Tx) error { return pg.Lock(ctx, tx) })
}

func (w *Walker) lock(ctx context.Context, tx pgx.Tx, atOnce bool) error {
	if !atOnce {
		return pg.Lock(ctx, tx)
	}
	got, err := pg.TryLock(ctx, tx)
	if err == nil && !got {
		err = errLockTaken
	}
	return err
}

// intend remembers, before the commit, where the watermark is going and what
// the slice's end leaves owed: after any crash, a watermark that we moved is
// known as ours, and no debt is forgotten.
func (w *Walker) intend(mark, to time.Time, advance, trusted bool) error {
	var change func(*ledger.Memory)
	if advance {
		change = func(m *ledger.Memory) { m.Plan(mark, to, trusted) }
	}
	return w.owe(ledger.Before(w.horizon.Owed, to), change)
}

// advance moves the watermark and keeps last_run_* as Multica's own function
// does. It returns where the watermark will be once tx has committed.
func (w *Walker) advance(ctx context.Context, tx pgx.Tx, to time.Time, rows int64) (mark time.Time, err error) {
	if err := tx.QueryRow(ctx, statement("state_advance", false), to, w.started, rows).Scan(&mark); err != nil {
		return mark, fmt.Errorf("moving the watermark to %s: %w", stamp(to), err)
	}
	return mark, nil
}

// stampOnly moves the watermark to a point, or nowhere if it is there already,
// in a transaction that rolls up nothing.
func (w *Walker) stampOnly(ctx context.Context, to time.Time, rows int64) error {
	for {
		var mark time.Time
		err := w.with(ctx, func(conn *pgx.Conn) error {
			settings := w.settings()
			settings.AsyncCommit = true
			return pg.InTx(ctx, conn, settings, func(tx pgx.Tx) (err error) {
				if err = pg.Lock(ctx, tx); err == nil {
					mark, err = w.advance(ctx, tx, to, rows)
				}
				if err == nil {
					err = w.pipe.Recheck(ctx, tx)
				}
				return err
			})
		})
		switch {
		case err == nil:
			w.st.Watermark = mark
			w.blocked("")
			return nil
		case pg.SQLState(err) != pg.StateLockNotAvailable:
			return err
		}
		if err := w.busy(ctx, err); err != nil {
			return err
		}
	}
}
