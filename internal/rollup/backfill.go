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
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/state"
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
	From      time.Time       `json:"from"`             // where the pass begins
	To        time.Time       `json:"to"`               // the horizon it goes to
	Cursor    time.Time       `json:"cursor"`           // where it goes on
	Watermark time.Time       `json:"watermark"`        // as it is now
	Done      int64           `json:"done"`             // usage rows done by an interrupted backfill
	Total     int64           `json:"total"`            // usage rows of the pass
	Months    []Month         `json:"months,omitempty"` // of what is to do
	Resumed   bool            `json:"resumed"`
	GivesUp   *ledger.GivenUp `json:"gives_up,omitempty"` // history the watermark passes over
	asked     string
	uncounted bool
	place     *ledger.Checkpoint
	created   time.Time
}

// Month counts the usage rows of one month.
type Month struct {
	Month time.Time `json:"month"`
	Rows  int64     `json:"rows"`
}

// Begins returns where there is something to do: the cursor, or the oldest
// usage where that lies after it.
func (p *BackfillPlan) Begins() time.Time { return later(p.Cursor, p.created.Truncate(time.Hour)) }

// asked names the beginning that was asked for, "" where that is all of history: what an
// unfinished backfill was asked for decides whether the next goes on with it.
func (o BackfillOptions) asked() string {
	switch {
	case o.MonthsBack > 0:
		return fmt.Sprintf("--months-back %d", o.MonthsBack)
	case !o.From.IsZero():
		return "--from " + stamp(o.From)
	}
	return ""
}

// PlanBackfill finds out what a backfill would do, from real counts. It writes
// nothing. A backfill that would silently leave history out is refused with a
// problem of kind Usage, one that lacks a right with one of kind Permission.
func (w *Walker) PlanBackfill(ctx context.Context, o BackfillOptions) (*BackfillPlan, error) {
	p := &BackfillPlan{asked: o.asked()}
	if err := w.mayBackfill(ctx); err != nil {
		if !w.opts.Looks || problem.KindOf(err) != problem.Permission {
			return nil, err
		}
		w.log.Warn("a backfill would fail: "+err.Error(), journal.Hint(problem.HintOf(err)))
	}
	var oldest time.Time
	err := w.with(ctx, func(conn *pgx.Conn) error {
		mark, now, err := w.readMark(ctx, conn)
		if err != nil {
			return err
		}
		if mark.After(now) {
			return problem.New(problem.Failed, "multica-rollup run", "the watermark lies in the future (%s): a run takes it back", stamp(mark))
		}
		w.st.Watermark, p.Watermark = mark, mark
		if err := w.lookAhead(ctx, conn); err != nil {
			return err
		}
		return w.readOn(ctx, conn, func(tx pgx.Tx) (err error) {
			oldest, w.st.Newest, p.created, err = readSpan(ctx, tx)
			return err
		})
	})
	if err != nil {
		return nil, w.explain(err)
	}
	p.To = w.horizon.At
	if oldest.IsZero() {
		p.From, p.Cursor = p.Watermark, p.Watermark
		return p, nil
	}
	if err := w.planStart(ctx, p, o, earlier(oldest, p.created)); err != nil {
		return nil, err
	}
	if o.CountLater {
		p.uncounted = true
		return p, nil
	}
	return p, w.countMonths(ctx, p)
}

// planStart decides where the pass begins or goes on.
func (w *Walker) planStart(ctx context.Context, p *BackfillPlan, o BackfillOptions, oldest time.Time) error {
	begin := oldest.Truncate(time.Hour)
	switch {
	case o.MonthsBack > 0:
		now := w.horizon.Now.UTC()
		begin = later(begin, time.Date(now.Year(), now.Month()-time.Month(o.MonthsBack), 1, 0, 0, 0, 0, time.UTC))
	case !o.From.IsZero():
		begin = later(begin, o.From.Truncate(time.Hour))
	}
	place, err := w.loadPlace(o.Restart)
	if err != nil {
		return err
	}
	if place != nil && p.asked != "" && place.Asked != p.asked {
		was := "all of history"
		if place.Asked != "" {
			was = place.Asked
		}
		return problem.New(problem.Usage, "multica-rollup backfill goes on with it; --restart forgets it",
			"a backfill of %s is unfinished, at %s", was, stamp(place.Cursor))
	}
	if place != nil {
		// A clock that went back since then must not take the watermark into the future.
		place.PassTo = later(earlier(place.PassTo, w.horizon.At), place.Cursor)
		p.place, p.Resumed, p.asked = place, true, place.Asked
		// Should the server have lost the watermark's last steps, the walk goes back with it.
		p.From, p.To, p.Cursor, p.Done, p.Total = place.PassFrom, place.PassTo, place.Cursor, place.Done, place.Total
		return nil
	}
	p.From, p.Cursor = begin, begin
	if p.Watermark.Before(begin) {
		if err := w.planPartial(ctx, p, o, begin); err != nil {
			return err
		}
		if p.GivesUp == nil { // nothing lies between: the walk covers it as it comes
			p.From, p.Cursor = p.Watermark, p.Watermark
		}
	}
	return nil
}

// planPartial finds out what the watermark would pass over.
func (w *Walker) planPartial(ctx context.Context, p *BackfillPlan, o BackfillOptions, begin time.Time) error {
	var skipped int64
	var oldest *time.Time
	err := w.reading(ctx, func(tx pgx.Tx) error {
		defer pg.ReadsWholeTable(tx.Conn())()
		return tx.QueryRow(ctx, statement("count_skipped", false), p.Watermark, begin).Scan(&skipped, &oldest)
	})
	if err != nil {
		return w.explain(fmt.Errorf("counting what would be left out: %w", err))
	}
	if skipped == 0 {
		return nil
	}
	if !o.ForcePartial {
		return problem.New(problem.Usage, "leave the limit away to roll up all of it, or give it up for good with --force-partial",
			"beginning at %s would leave %s usage rows since %s out for good", begin.Format("2006-01-02"), report.Count(skipped), oldest.UTC().Format("January 2006"))
	}
	p.GivesUp = &ledger.GivenUp{Before: begin, Events: skipped, At: w.horizon.Now}
	return nil
}

func (w *Walker) loadPlace(restart bool) (*ledger.Checkpoint, error) {
	if w.store == nil || restart {
		return nil, nil
	}
	place, err := w.store.LoadCheckpoint()
	if damaged, ok := errors.AsType[*state.DamagedError](err); ok {
		w.warn(journal.StateUnwritable, damaged.Error()+"; the backfill starts over")
		return nil, nil
	}
	if err != nil {
		return nil, problem.Wrap(err, problem.Failed, "look at the state directory "+w.store.Dir(), "%v", err)
	}
	if place != nil && place.Engine != w.engine.Name() { // the engines read different rows for one pass
		w.log.Info(fmt.Sprintf("an unfinished backfill by the %s engine cannot be gone on with by the %s engine; the backfill starts over",
			place.Engine, w.engine.Name()), journal.Engine(w.engine.Name()))
		return nil, nil
	}
	return place, nil
}

// mayBackfill tries the rights that a backfill needs, before it says that it has begun.
func (w *Walker) mayBackfill(ctx context.Context) error {
	names := []string{"rights"}
	if w.engine.Name() == "function" {
		names = append(names, "rights_function")
	}
	settings := w.settings()
	err := w.with(ctx, func(conn *pgx.Conn) error {
		return pg.InTx(ctx, conn, settings, func(tx pgx.Tx) error {
			for _, name := range names {
				if _, err := tx.Exec(ctx, statement(name, false)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if pg.SQLState(err) == pg.StateLockNotAvailable {
		return nil // who holds a whole table is waited for in the walk
	}
	if err != nil {
		return w.explain(err)
	}
	return nil
}

func (w *Walker) countMonths(ctx context.Context, p *BackfillPlan) error {
	err := w.reading(ctx, func(tx pgx.Tx) error {
		defer pg.ReadsWholeTable(tx.Conn())()
		name, args := "count_months", []any{p.Cursor, p.To, p.From}
		if w.engine.Name() == "function" {
			name, args = "count_months_function", args[:2]
		}
		rows, err := tx.Query(ctx, statement(name, false), args...)
		if err != nil {
			return err
		}
		p.Months, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Month])
		return err
	})
	if err != nil {
		return w.explain(fmt.Errorf("counting usage rows: %w", err))
	}
	p.Total = p.Done
	for _, m := range p.Months {
		p.Total += m.Rows
	}
	return nil
}

// Backfill carries out a plan: the pass over history, then the walk to the
// horizon, what is owed, and the queue. It can be interrupted at any instant;
// the next one goes on. Its errors are as Run's, except that a lock held by
// another all along is a problem of kind TryAgain.
func (w *Walker) Backfill(ctx context.Context, p *BackfillPlan, o BackfillOptions) error {
	err := w.backfill(ctx, p, o)
	if busy, ok := errors.AsType[*BusyError](err); ok {
		err = problem.Wrap(busy, problem.TryAgain, "multica-rollup backfill goes on from here when the other is done", "%s", busy.Error())
	}
	return w.finish(ctx, err)
}

func (w *Walker) backfill(ctx context.Context, p *BackfillPlan, o BackfillOptions) error {
	if err := w.noticeMove(time.Time{}, w.st.Watermark); err != nil {
		return err
	}
	if p.GivesUp != nil {
		if err := w.giveUp(ctx, p.GivesUp); err != nil {
			return err
		}
	}
	place := p.place
	if place == nil {
		place = &ledger.Checkpoint{Engine: w.engine.Name(), PassFrom: p.From, PassTo: p.To, Cursor: p.Cursor, Asked: p.asked, StartedAt: time.Now(), Partial: p.GivesUp}
		// The pass reads hours long before it comes to the corrections that open transactions
		// will have made in them; who carries it on later may not see that there was one.
		if err := w.owe(ledger.Before(w.horizon.Owed, p.To), nil); err != nil {
			return err
		}
	}
	place.Total, place.Done = p.Total, p.Done
	save := func() error {
		if w.store == nil {
			return nil
		}
		place.UpdatedAt = time.Now()
		if err := w.store.SaveCheckpoint(*place); err != nil {
			return problem.Wrap(err, problem.Failed, "see that "+w.store.Dir()+" can be written and has room", "%v", err)
		}
		return nil
	}
	if err := save(); err != nil {
		return err
	}
	if err := w.begin(ctx, p, o); err != nil {
		return err
	}
	place.Total = p.Total
	planner, err := w.newPlanner(ctx, Pass{Start: place.PassFrom, End: place.PassTo}, p.created)
	if err != nil {
		return err
	}
	l := &leg{cursor: p.Cursor, end: place.PassTo, moves: true, planner: planner}
	until := &watchUntil{w: w, until: o.Until}
	l.done = func(cursor time.Time, r Result) error {
		place.Cursor, place.Done = cursor, place.Done+r.Read
		switch {
		case !cursor.Before(place.PassTo):
			place.Total = place.Done
		case place.Done >= place.Total:
			// Hours that corrections touch time and again are read more often than they are counted.
			place.Total = place.Done + max(r.Read, 1)
		}
		w.progress(place.Done, place.Total)
		if err := save(); err != nil {
			return err
		}
		return until.check(ctx)
	}
	_, err = w.walk(ctx, l)
	if until.met || err != nil {
		return until.ended(err)
	}
	all := p.created.IsZero() || !p.From.After(earlier(p.created, p.Watermark))
	if err := w.passed(p.From, place.PassTo, p.GivesUp == nil && all); err != nil {
		return err
	}
	return w.arrive(ctx)
}

// giveUp moves the watermark past history that is left out, and records it.
func (w *Walker) giveUp(ctx context.Context, g *ledger.GivenUp) error {
	if err := w.remember(func(m *ledger.Memory) { m.GiveUp(*g) }); err != nil {
		return err
	}
	if err := w.stampOnly(ctx, g.Before, 0); err != nil {
		return err
	}
	w.log.Warn(fmt.Sprintf("the watermark passed over %s usage rows before %s, as asked; they are in no hourly row", report.Count(g.Events), stamp(g.Before)),
		journal.HistoryGivenUp.Attr(), journal.Watermark(g.Before))
	return nil
}

// passed notes that a pass is done: the gaps within it are settled, and a pass
// over all of history takes back what an earlier one gave up.
func (w *Walker) passed(from, to time.Time, all bool) error {
	return w.remember(func(m *ledger.Memory) { m.Passed(from, to, w.st.Watermark, all) })
}

// arrive goes on as the walk: what came while history was rolled up, what is
// owed, the queue. Then the backfill is done and its place is forgotten.
func (w *Walker) arrive(ctx context.Context) error {
	if err := w.locate(ctx); err != nil {
		return err
	}
	if _, err := w.forward(ctx); err != nil {
		return err
	}
	w.phase(report.Settling)
	if _, err := w.settleDebts(ctx); err != nil {
		return err
	}
	if _, err := w.drain(ctx); err != nil {
		return err
	}
	w.st.Outcome = report.Current
	if w.store == nil {
		return nil
	}
	if err := w.store.ClearCheckpoint(); err != nil {
		return problem.Wrap(err, problem.Failed, "remove "+w.store.CheckpointPath(), "%v", err)
	}
	for _, path := range w.store.ClearLostCheckpoints() {
		w.log.Info("forgot the unfinished backfill of a database that is no more: " + path)
	}
	return nil
}

// watchUntil asks after each step whether the backfill has come far enough.
type watchUntil struct {
	w     *Walker
	until func(ctx context.Context, q pg.Querier) (bool, error)
	met   bool
}

var errFarEnough = errors.New("far enough")

func (u *watchUntil) check(ctx context.Context) error {
	if u.until == nil {
		return nil
	}
	err := u.w.reading(ctx, func(tx pgx.Tx) (err error) {
		u.met, err = u.until(ctx, tx)
		return err
	})
	if err == nil && u.met {
		err = errFarEnough
	}
	return err
}

func (u *watchUntil) ended(err error) error {
	if errors.Is(err, errFarEnough) {
		u.w.st.Outcome = report.Incomplete
		return nil
	}
	return err
}
