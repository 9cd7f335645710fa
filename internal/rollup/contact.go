package rollup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/hostclock"
	"github.com/multica-rollup/multica-rollup/internal/instant"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// enter has the memory be that of the incarnation that was found.
func (m *memory) enter(found pipeline.Recognition) error {
	now := found.At
	if m.looking {
		m.foreign = found.Another != ""
		return nil
	}
	if found.Another != "" {
		aside, err := m.store.SetAside(now)
		if err != nil {
			return m.unwritable(err)
		}
		text := "what was remembered of this database is set aside, since it is not the one that it was: " + found.Another
		m.rep.warn(journal.IncarnationNew, text, journal.Reason(aside))
	}
	var withdrawn string
	err := m.change(func(r *ledger.Memory) {
		if found.Another != "" {
			r.Notice(now, ledger.AnotherIncarnation, found.Another)
		}
		withdrawn = r.Enter(found.Now, found.Rewritten, now)
	})
	if withdrawn != "" {
		m.rep.log.Info("what was proven has to be proven again", journal.ProofsWithdrawn.Attr(), journal.Reason(withdrawn))
	}
	return err
}

// recogniseAgain is asked on a new connection in the middle of the work: should the database be in another life by then, nothing that
// this command knows is worth anything.
func (p *position) recogniseAgain(ctx context.Context, conn *pgx.Conn) error {
	if p.mem.store == nil || p.db.pipe() == nil {
		return nil
	}
	found, err := p.recognise(ctx, conn)
	switch {
	case err != nil || found.First:
		return err
	case found.Another != "":
		return problem.New(problem.TryAgain, "multica-rollup "+p.opts.Command+" begins anew with what is there now",
			"the database is not the one that this has begun with: %s", found.Another)
	}
	return p.mem.enter(found)
}

// enter finds out whether what is remembered is of this life of the database, before any of it is used, and begins a new
// memory where it is not.
func (p *position) enter(ctx context.Context) error {
	if p.mem.store == nil {
		return nil
	}
	return p.db.do(ctx, func(conn *pgx.Conn) error {
		found, err := p.recognise(ctx, conn)
		if err != nil {
			return err
		}
		p.mem.was = found.Was
		return p.mem.enter(found)
	})
}

// recognise compares what is remembered with the life that the database is in.
func (p *position) recognise(ctx context.Context, conn *pgx.Conn) (pipeline.Recognition, error) {
	remembered, err := p.mem.load()
	if err != nil {
		return pipeline.Recognition{}, err
	}
	return p.db.pipe().Recognise(ctx, conn, &remembered)
}

// meet notices what has happened to the database since this agent saw it last: a clock that was set back, and first
// contact. It returns where the watermark is, which it takes back from the future only where future says so. row was just read.
func (p *position) meet(ctx context.Context, row pipeline.StateRow, future bool) (mark time.Time, err error) {
	mark = row.Watermark
	var remembered ledger.Memory
	if p.mem.store != nil && !p.mem.looking {
		if remembered, err = p.mem.load(); err != nil {
			return mark, err
		}
		if mark, err = p.stepBack(ctx, &remembered, row); err != nil {
			return mark, err
		}
	}
	if mark.After(row.Now) {
		if !future {
			return mark, nil
		}
		if mark, err = p.rewind(ctx); err != nil {
			return mark, p.db.explain(err)
		}
	}
	p.rep.st.Watermark = mark
	if p.mem.store == nil || p.mem.looking || !remembered.Committed.IsZero() {
		return mark, nil
	}
	return mark, p.firstContact(ctx, row.Now, mark)
}

// firstContact trusts nothing that it finds: what lies before the watermark is unproven, and what is open may have
// written anything.
func (p *position) firstContact(ctx context.Context, now, mark time.Time) error {
	if err := p.lookAhead(ctx); err != nil { // from the beginning on, since nothing is remembered
		return err
	}
	unproven, err := p.unproven(ctx, mark)
	if err != nil {
		return err
	}
	// Whoever began before the watermark may write behind it.
	err = p.mem.deferAll(ledger.Before(p.horizon.Deferred, mark), p.horizon.Now, func(m *ledger.Memory) {
		m.Meet(mark, unproven, now)
	})
	if err != nil || unproven == nil {
		return err
	}
	p.rep.warn(journal.FirstContact, fmt.Sprintf("the hourly rows from %s to %s were there before this agent: nothing shows yet that they are right", instant.Stamp(unproven.From), instant.Stamp(unproven.To)),
		journal.Hint("multica-rollup backfill"))
	return nil
}

// unproven returns the bucket hours that somebody may have rolled up, rightly or not; nil where there are none.
func (p *position) unproven(ctx context.Context, mark time.Time) (*ledger.Range, error) {
	usage, err := p.usage(ctx)
	if err != nil {
		return nil, err
	}
	var first, last *time.Time
	// Somebody's maintenance may have locked the table: that is waited for as in a slice.
	settings := p.db.pipe().Reads()
	settings.LockTimeout = p.opts.Walk.LockTimeout
	err = p.wait.retry(ctx, budget{}, func() error {
		return p.db.do(ctx, func(conn *pgx.Conn) error {
			return pg.InTx(ctx, conn, settings, func(tx pgx.Tx) error {
				return tx.QueryRow(ctx, statement("hourly_span")).Scan(&first, &last)
			})
		})
	})
	if _, busy := errors.AsType[*BusyError](err); busy {
		return nil, err
	}
	if err != nil {
		return nil, p.db.explain(fmt.Errorf("reading the extent of the hourly table: %w", err))
	}
	var r *ledger.Range
	widen := func(from, to time.Time) {
		if r == nil {
			r = &ledger.Range{From: from, To: to}
		}
		r.From, r.To = instant.Earlier(r.From, from), instant.Later(r.To, to)
	}
	if !usage.oldest.IsZero() && usage.oldest.Before(mark) { // the watermark has passed some
		from := usage.created.Truncate(time.Hour)
		widen(from, instant.Later(from, mark).Add(time.Hour-1).Truncate(time.Hour))
	}
	if first != nil {
		widen(first.Truncate(time.Hour), last.Truncate(time.Hour).Add(time.Hour))
	}
	return r, nil
}

// stepBack takes the watermark back where the database's clock was set back: what is written from then on carries times
// that the watermark has passed.
func (p *position) stepBack(ctx context.Context, remembered *ledger.Memory, row pipeline.StateRow) (mark time.Time, err error) {
	clock, err := p.clock(row.Now)
	if err != nil || remembered.Incarnation == nil {
		return row.Watermark, err
	}
	earliest, stepped := remembered.Clock.SteppedBack(p.mem.was, *remembered.Incarnation, clock)
	if !stepped {
		return row.Watermark, nil
	}
	unknown := earliest.IsZero()
	to := instant.Earlier(earliest, row.Now.Add(-p.opts.HorizonDelay))
	if unknown {
		to = row.Now.Add(-p.opts.HorizonDelay)
	}
	to = to.Truncate(time.Microsecond)
	behind := instant.Later(row.Watermark, remembered.Committed)
	if !unknown && !behind.After(to) {
		return row.Watermark, p.mem.change(func(m *ledger.Memory) { m.Clock = &clock }) // nothing can be behind the watermark
	}
	was := row.Watermark
	err = p.wait.retry(ctx, budget{}, func() (err error) {
		mark, err = p.write.setBack(ctx, to)
		return err
	})
	if err != nil {
		return mark, p.db.explain(err)
	}
	text := fmt.Sprintf("the database's clock was set back since %s; the watermark was taken back from %s to %s", instant.Stamp(remembered.Clock.Database), instant.Stamp(was), instant.Stamp(mark))
	p.rep.log.Error(text, journal.ClockSteppedBack.Attr(), journal.Watermark(mark))
	p.rep.st.Warn(text)
	return mark, p.mem.change(func(m *ledger.Memory) {
		m.SteppedBack(mark, clock, unknown)
		m.Notice(row.Now, ledger.ClockSteppedBack, text)
	})
}

// clock is the database's clock, just read, beside the host's.
func (p *position) clock(database time.Time) (ledger.Clock, error) {
	read := p.opts.HostClock
	if read == nil {
		read = hostclock.Read
	}
	host, err := read()
	if err != nil {
		return ledger.Clock{}, err
	}
	return ledger.Clock{Database: database, Host: host.SinceBoot, Boot: host.Boot}, nil
}

// leave reads what memory is saved with at the end of a command: the clocks, and where the log stands.
func (p *position) leave(ctx context.Context) (note func(*ledger.Memory), err error) {
	nothing := func(*ledger.Memory) {}
	if !p.db.session.Connected() || p.mem.store == nil || p.db.pipe() == nil {
		return nothing, nil
	}
	var wal pipeline.WAL
	err = p.db.do(ctx, func(conn *pgx.Conn) (err error) {
		wal, err = p.db.pipe().ReadWAL(ctx, conn)
		return err
	})
	if err != nil {
		return nothing, err
	}
	if wal.Now.IsZero() { // our role may not read where the log stands
		row, err := p.db.state(ctx)
		if err != nil {
			return nothing, err
		}
		wal.Now = row.Now
	}
	clock, err := p.clock(wal.Now)
	if err != nil {
		return nothing, err
	}
	heard := p.mem.takeWitnesses(wal.Written)
	return func(m *ledger.Memory) {
		m.Heard(heard...)
		m.Saved(wal.Flushed, clock)
	}, nil
}
