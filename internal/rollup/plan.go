package rollup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/instant"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup/engine"
)

// BackfillOptions are what a backfill is asked for.
type BackfillOptions struct {
	MonthsBack   int       // 0: all of history; else the calendar month (UTC) that many months ago and all since
	From         time.Time // zero: the oldest event
	ForcePartial bool      // the watermark may pass over history that is left out
	Restart      bool      // forget the place of an unfinished backfill
	CountLater   bool      // what there is to do is counted when the throttle lets the work begin, not by the plan
	Begins       func()    // called when it is; may be nil
	// Until ends the backfill early, when it says so after a step. Nil means never.
	Until func(ctx context.Context, q pg.Querier) (bool, error)
}

// BackfillPlan is what a backfill would do.
type BackfillPlan struct {
	From       time.Time       `json:"from"`             // where the pass begins
	To         time.Time       `json:"to"`               // the horizon it goes to
	Cursor     time.Time       `json:"cursor"`           // where it goes on
	Watermark  time.Time       `json:"watermark"`        // as it is now
	Done       int64           `json:"done"`             // usage rows done by an interrupted backfill
	Total      int64           `json:"total"`            // usage rows of the pass
	Months     []engine.Month  `json:"months,omitempty"` // of what is to do
	Resumed    bool            `json:"resumed"`
	GivesUp    *ledger.GivenUp `json:"gives_up,omitempty"` // history the watermark passes over
	asked      string
	uncounted  bool
	checkpoint *ledger.Checkpoint // that is resumed; nil where the backfill begins
	created    time.Time          // the oldest creation of raw usage; zero where there is none
}

// Begins returns where there is something to do: the cursor, or the oldest
// usage where that lies after it.
func (p *BackfillPlan) Begins() time.Time {
	return instant.Later(p.Cursor, p.created.Truncate(time.Hour))
}

// asked names the beginning that was asked for, "" where that is all of history: what an
// unfinished backfill was asked for decides whether the next goes on with it.
func (o BackfillOptions) asked() string {
	switch {
	case o.MonthsBack > 0:
		return fmt.Sprintf("--months-back %d", o.MonthsBack)
	case !o.From.IsZero():
		return "--from " + instant.Stamp(o.From)
	}
	return ""
}

// begin is where a pass begins that is asked for at a time, given the oldest usage.
func (o BackfillOptions) begin(oldest, now time.Time) time.Time {
	begin := oldest.Truncate(time.Hour)
	switch {
	case o.MonthsBack > 0:
		now = now.UTC()
		begin = instant.Later(begin, time.Date(now.Year(), now.Month()-time.Month(o.MonthsBack), 1, 0, 0, 0, 0, time.UTC))
	case !o.From.IsZero():
		begin = instant.Later(begin, o.From.Truncate(time.Hour))
	}
	return begin
}

// survey finds out what a backfill would do.
type survey struct {
	db     *database
	mem    *memory
	rep    *reporter
	at     *position
	engine engine.Engine
	dryRun bool // a dry run: a missing privilege is told, and no failure
}

// plan finds out what a backfill would do, from real counts. It writes
// nothing. A backfill that would silently leave history out is refused with a
// problem of kind Usage, one that lacks a right with one of kind Permission.
func (s *survey) plan(ctx context.Context, o BackfillOptions) (*BackfillPlan, error) {
	p := &BackfillPlan{asked: o.asked()}
	if err := s.tryPrivileges(ctx); err != nil {
		return nil, err
	}
	row, err := s.db.state(ctx)
	if err != nil {
		return nil, s.db.explain(err)
	}
	if row.Watermark, err = s.at.meet(ctx, row, false); err != nil {
		return nil, err
	}
	if row.Watermark.After(row.Now) {
		return nil, problem.New(problem.Failed, "multica-rollup run", "the watermark lies in the future (%s): a run takes it back", instant.Stamp(row.Watermark))
	}
	s.rep.st.Watermark, p.Watermark = row.Watermark, row.Watermark
	if err := s.at.lookAhead(ctx); err != nil {
		return nil, s.db.explain(err)
	}
	usage, err := s.at.usage(ctx)
	if err != nil {
		return nil, err
	}
	p.To, p.created = s.at.horizon.At, usage.created
	if usage.oldest.IsZero() {
		p.From, p.Cursor = p.Watermark, p.Watermark
		return p, nil
	}
	resumes, err := s.resume(p, o.Restart)
	if err != nil {
		return nil, err
	}
	if !resumes {
		if err := s.begin(ctx, p, o, o.begin(instant.Earlier(usage.oldest, usage.created), s.at.horizon.Now)); err != nil {
			return nil, err
		}
	}
	if o.CountLater {
		p.uncounted = true
		return p, nil
	}
	return p, s.count(ctx, p)
}

// tryPrivileges tries the privileges that a backfill needs, before it says that it has begun.
func (s *survey) tryPrivileges(ctx context.Context) error {
	err := s.db.write(ctx, func(tx pgx.Tx) error { return s.engine.TryPrivileges(ctx, tx) })
	if pg.SQLState(err) == pg.StateLockNotAvailable {
		return nil // who holds a whole table is waited for in the walk
	}
	if err = s.db.explain(err); err == nil || !s.dryRun || problem.KindOf(err) != problem.Permission {
		return err
	}
	s.rep.log.Warn("a backfill would fail: "+err.Error(), journal.Hint(problem.HintOf(err)))
	return nil
}

// resume has the plan go on with an unfinished backfill; false where there is none.
func (s *survey) resume(p *BackfillPlan, restart bool) (bool, error) {
	c, err := s.mem.checkpoint(s.engine.Name()) // of a restart, too: it sets aside what is not ours
	if err != nil || c == nil || restart {
		return false, err
	}
	if p.asked != "" && c.Asked != p.asked {
		was := "all of history"
		if c.Asked != "" {
			was = c.Asked
		}
		return false, problem.New(problem.Usage, "multica-rollup backfill goes on with it; --restart forgets it",
			"a backfill of %s is unfinished, at %s", was, instant.Stamp(c.Cursor))
	}
	// A clock that went back since then must not take the watermark into the future.
	c.PassTo = instant.Later(instant.Earlier(c.PassTo, s.at.horizon.At), c.Cursor)
	p.checkpoint, p.Resumed, p.asked = c, true, c.Asked
	// Should the server have lost the watermark's last steps, the walk goes back with it.
	p.From, p.To, p.Cursor, p.Done, p.Total = c.PassFrom, c.PassTo, c.Cursor, c.Done, c.Total
	return true, nil
}

// begin has the plan begin a pass.
func (s *survey) begin(ctx context.Context, p *BackfillPlan, o BackfillOptions, begin time.Time) error {
	p.From, p.Cursor = begin, begin
	if !p.Watermark.Before(begin) {
		return nil
	}
	if err := s.partial(ctx, p, o, begin); err != nil {
		return err
	}
	if p.GivesUp == nil { // nothing lies between: the walk covers it as it comes
		p.From, p.Cursor = p.Watermark, p.Watermark
	}
	return nil
}

// partial finds out what the watermark would pass over.
func (s *survey) partial(ctx context.Context, p *BackfillPlan, o BackfillOptions, begin time.Time) error {
	var skipped int64
	var oldest *time.Time
	err := s.db.read(ctx, func(tx pgx.Tx) error {
		defer pg.ReadsWholeTable(tx.Conn())()
		return tx.QueryRow(ctx, statement("count_skipped"), p.Watermark, begin).Scan(&skipped, &oldest)
	})
	if err != nil {
		return s.db.explain(fmt.Errorf("counting what would be left out: %w", err))
	}
	if skipped == 0 {
		return nil
	}
	if !o.ForcePartial {
		return problem.New(problem.Usage, "leave the limit away to roll up all of it, or give it up for good with --force-partial",
			"beginning at %s would leave %s usage rows since %s out for good", begin.Format("2006-01-02"), report.Count(skipped), oldest.UTC().Format("January 2006"))
	}
	p.GivesUp = &ledger.GivenUp{Before: begin, Events: skipped, At: s.at.horizon.Now}
	return nil
}

// count counts what the plan has to do.
func (s *survey) count(ctx context.Context, p *BackfillPlan) error {
	err := s.db.read(ctx, func(tx pgx.Tx) (err error) {
		defer pg.ReadsWholeTable(tx.Conn())()
		p.Months, err = s.engine.CountMonths(ctx, tx, p.From, p.Cursor, p.To)
		return err
	})
	if err != nil {
		return s.db.explain(fmt.Errorf("counting usage rows: %w", err))
	}
	p.Total, p.uncounted = p.Done, false
	for _, m := range p.Months {
		p.Total += m.Rows
	}
	return nil
}
