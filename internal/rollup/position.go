package rollup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/horizon"
	"github.com/multica-rollup/multica-rollup/internal/instant"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
)

// holdBefore103 is the longest that a transaction may hold the horizon back
// where migration 103 has still to pass. That refuses where the watermark trails
// the newest event by an hour, so an ordinary hold could fail it for our own
// sake. A prepared transaction holds for up to twice as long.
const holdBefore103 = 20 * time.Minute

// position is where the pipeline stands: the watermark, which the report has, and the horizon.
type position struct {
	db      *database
	write   *writer
	mem     *memory
	wait    *lockWait
	rep     *reporter
	opts    Options
	horizon horizon.Horizon // as read last
	looked  time.Time       // when, by this host's clock
}

// locate reads the watermark and the horizon, and takes a watermark in the future back.
//
// The watermark comes first, so it is never newer than what the horizon judged. A transaction that moves usage
// is deferred from the watermark on (horizon.Rules.Since): what others roll up beside it after the reading of an
// older watermark lies in its window, or in the gap that the walk finds when it comes to the newer one. Read in
// the other order, the watermark may have been moved past usage that was rolled up beside a transaction seen
// open, and nothing would be deferred for what lies before it.
func (p *position) locate(ctx context.Context) error {
	row, err := p.db.state(ctx)
	if err != nil {
		return p.db.explain(err)
	}
	mark, err := p.meet(ctx, row, true)
	if err != nil {
		return err
	}
	byRun, err := p.leftByRun(ctx)
	if err != nil {
		return p.db.explain(err)
	}
	if byRun {
		err = p.mem.change(func(m *ledger.Memory) { m.Committed = mark })
	} else {
		err = p.mem.noticeMove(time.Time{}, mark)
	}
	if err != nil {
		return err
	}
	return p.db.explain(p.lookAhead(ctx))
}

// deferPassed remembers the windows of open transactions that begin before a point which the watermark, or a
// pass, has come to: it may be that no slice follows that would do so.
func (p *position) deferPassed(to time.Time) error {
	return p.mem.deferAll(ledger.Before(p.horizon.Deferred, to), p.horizon.Now, nil)
}

// lookAgain reads the horizon anew where what is known of it is half a commit lag old, and says whether it did.
// By then a transaction that was short may be one that lasts.
func (p *position) lookAgain(ctx context.Context) (bool, error) {
	if p.opts.Clock().Sub(p.looked) < p.opts.HorizonDelay/2 {
		return false, nil
	}
	return true, p.db.explain(p.lookAhead(ctx))
}

// leftByRun says whether a standby takes the watermark, which others may have moved, for rolled up: a run left it
// there. Without that every stretch that others roll up would be deferred, and the first take-over would have all
// of it to do again.
func (p *position) leftByRun(ctx context.Context) (byRun bool, err error) {
	if p.opts.StandbyLag <= 0 {
		return false, nil
	}
	err = p.db.read(ctx, func(tx pgx.Tx) (err error) {
		byRun, err = pipeline.LeftByRun(ctx, tx, pipeline.CommitLag-time.Second)
		return err
	})
	return byRun, err
}

// rewind takes a watermark in the future back to the last point known to be
// true: our own memory of it, else the beginning. It is the one exception to
// the watermark's never moving back.
func (p *position) rewind(ctx context.Context) (mark time.Time, err error) {
	remembered, err := p.mem.load()
	if err != nil {
		remembered = ledger.Memory{}
	}
	var was time.Time
	err = p.wait.retry(ctx, budget{}, func() (err error) {
		mark, was, err = p.write.rewind(ctx, remembered.RewindTo)
		return err
	})
	if err != nil || was.IsZero() {
		return mark, err
	}
	text := "the watermark lay in the future (" + instant.Stamp(was) + ") and was taken back to " + instant.Stamp(mark)
	p.rep.log.Error(text, journal.WatermarkInFuture.Attr(), journal.Watermark(mark))
	p.rep.st.Warn(text)
	return mark, p.mem.change(func(m *ledger.Memory) { m.Rewound(mark) })
}

// lookAhead reads the horizon anew.
func (p *position) lookAhead(ctx context.Context) error {
	hold := p.opts.Walk.HorizonHold
	if p.db.pipe().Legacy {
		hold = min(hold, holdBefore103)
	}
	if p.mem.store == nil {
		hold = -1
	}
	rules := horizon.Rules{Since: p.mem.doubtFrom(p.rep.st.Watermark), Delay: p.opts.HorizonDelay, Hold: hold}
	p.looked = p.opts.Clock()
	var open horizon.Snapshot
	err := p.db.read(ctx, func(tx pgx.Tx) (err error) {
		open, err = horizon.Read(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	h := horizon.Decide(open, rules)
	p.horizon = h
	p.rep.st.Horizon, p.rep.st.Held = h.At, h.Held
	if h.Held != "" {
		p.rep.log.Info("an open transaction holds the horizon back", journal.HorizonHeld.Attr(),
			journal.Watermark(h.At), journal.Reason(h.Held))
	}
	if h.Hidden > 0 {
		p.rep.warn(journal.ActivityHidden, fmt.Sprintf("%d sessions of other roles are hidden from role %s: when their transactions began cannot be seen; as a superuser: %s", h.Hidden, p.db.pipe().User, p.db.pipe().Membership("pg_read_all_stats")))
	}
	if h.Untracked > 0 {
		p.rep.warn(journal.ActivityHidden, fmt.Sprintf("%d open transactions are of sessions with track_activities off: when they began cannot be seen", h.Untracked))
	}
	return nil
}

// usage reads the extent of raw usage.
func (p *position) usage(ctx context.Context) (s span, err error) {
	err = p.db.read(ctx, func(tx pgx.Tx) (err error) {
		s, err = readSpan(ctx, tx)
		return err
	})
	if err == nil {
		p.rep.st.Newest = s.newest
	}
	return s, p.db.explain(err)
}
