package rollup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/instant"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/rollup/engine"
)

// writer writes to the database. Each of its methods is one transaction; all but failure take lock 4246.
type writer struct {
	db      *database
	mem     *memory
	engine  engine.Engine
	started time.Time // of the run, on the database's clock
}

// movedError: under the lock, the watermark is not where the walk stands.
type movedError struct{ to time.Time }

func (e *movedError) Error() string { return "the watermark was moved to " + instant.Stamp(e.to) }

// sliceOptions are what a slice's transaction does beside rolling up.
type sliceOptions struct {
	leg           *leg
	moveWatermark bool  // the watermark moves to the slice's end
	rows          int64 // hourly rows that the run has written before
}

// committed is what a slice's transaction has done.
type committed struct {
	engine.Result
	watermark time.Time       // where it was left; zero where it was not moved
	witness   *ledger.Witness // one of the hourly rows written; nil where none was looked for, or found
	held      time.Duration
}

// slice rolls up one slice: lock, look where the watermark is, roll up, remember where the watermark is going,
// move it to the slice's end. Nothing is done where the walk does not stand at the watermark: *movedError.
func (w *writer) slice(ctx context.Context, s engine.Slice, o sliceOptions) (did committed, err error) {
	did.held, err = w.db.locked(ctx, w.engine.Transaction, func(tx pgx.Tx) error {
		row, err := pipeline.ReadState(ctx, tx, w.db.pipe().Database)
		if err != nil {
			return err
		}
		mark := row.Watermark
		if !o.leg.validAt(mark) {
			return &movedError{to: mark}
		}
		if did.Result, err = w.engine.Roll(ctx, tx, s); err != nil {
			return err
		}
		advances := o.moveWatermark && s.To.After(mark)
		if err := w.intend(o.leg, mark, s.To, advances); err != nil || !advances {
			return err
		}
		// What moves the watermark may be lost with it by a crash of the server; what does not may not.
		if err := pg.AsyncCommit(ctx, tx); err != nil {
			return err
		}
		if did.watermark, err = pipeline.Advance(ctx, tx, s.To, w.started, o.rows+did.Written+did.Deleted); err != nil || did.Written == 0 {
			return err
		}
		did.witness, err = readWitness(ctx, tx, s)
		return err
	})
	if err != nil {
		return committed{}, err
	}
	w.mem.hear(did.witness)
	return did, nil
}

// readWitness returns one of the hourly rows that tx has written in a slice's own hours, nil where there is none.
func readWitness(ctx context.Context, tx pgx.Tx, s engine.Slice) (*ledger.Witness, error) {
	var w ledger.Witness
	k := &w.Key
	err := tx.QueryRow(ctx, statement("witness"), s.From.Truncate(time.Hour), s.To).
		Scan(&k.Hour, &k.Workspace, &k.Runtime, &k.Agent, &k.Project, &k.Provider, &k.Model, &w.UpdatedAt)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking for an hourly row that was written: %w", err)
	}
	return &w, nil
}

// intend remembers, before the commit, where the watermark is going and what
// the slice's end leaves behind of open transactions: after any crash, a watermark
// that we moved is known as ours, and no deferred window is forgotten.
func (w *writer) intend(l *leg, mark, to time.Time, advances bool) error {
	var decide func(*ledger.Memory)
	if advances {
		decide = func(m *ledger.Memory) { m.Plan(mark, to, l.strict) }
	}
	return w.mem.deferAll(ledger.Before(l.horizon.Deferred, to), l.horizon.Now, decide)
}

// batch works off a batch of the invalidation queue.
func (w *writer) batch(ctx context.Context, q engine.Queue) (did committed, err error) {
	did.held, err = w.db.locked(ctx, q.Transaction, func(tx pgx.Tx) (err error) {
		did.Result, err = q.Drain(ctx, tx)
		return err
	})
	if err != nil {
		return committed{}, err
	}
	return did, nil
}

// stamp moves the watermark to a point, or nowhere if it is there already, and rolls up nothing.
func (w *writer) stamp(ctx context.Context, to time.Time, rows int64) (mark time.Time, err error) {
	lossy := func(s pg.TxSettings) pg.TxSettings { s.AsyncCommit = true; return s }
	_, err = w.db.locked(ctx, lossy, func(tx pgx.Tx) (err error) {
		mark, err = pipeline.Advance(ctx, tx, to, w.started, rows)
		return err
	})
	return mark, err
}

// rewind takes a watermark in the future back to a point that the present time decides. It returns where the
// watermark is then; was is zero where somebody else was faster.
func (w *writer) rewind(ctx context.Context, to func(now time.Time) time.Time) (mark, was time.Time, err error) {
	plain := func(s pg.TxSettings) pg.TxSettings { return s }
	_, err = w.db.locked(ctx, plain, func(tx pgx.Tx) error {
		row, err := pipeline.ReadState(ctx, tx, w.db.pipe().Database)
		if err != nil {
			return err
		}
		mark, was = to(row.Now), time.Time{}
		was, err = pipeline.Rewind(ctx, tx, mark)
		if errors.Is(err, pgx.ErrNoRows) {
			mark, err = row.Watermark, nil
		}
		return err
	})
	if err != nil {
		return mark, was, fmt.Errorf("taking the watermark back from the future: %w", err)
	}
	return mark, was, nil
}

// setBack takes the watermark back to a point where it lies beyond.
func (w *writer) setBack(ctx context.Context, to time.Time) (mark time.Time, err error) {
	plain := func(s pg.TxSettings) pg.TxSettings { return s }
	_, err = w.db.locked(ctx, plain, func(tx pgx.Tx) (err error) {
		mark, err = pipeline.SetBack(ctx, tx, to)
		return err
	})
	return mark, err
}

// failure keeps the reason of a failure in the state row; the database's own function loses it with its rollback.
func (w *writer) failure(ctx context.Context, text string) error {
	return w.db.write(ctx, func(tx pgx.Tx) error { return pipeline.RecordError(ctx, tx, w.started, text) })
}
