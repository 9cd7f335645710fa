package rollup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/instant"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup/engine"
)

// pass is a backfill's pass over history.
type pass struct {
	plan   *BackfillPlan
	asked  BackfillOptions
	survey *survey
	walk   *walk
	at     *position
	leg    *leg
	done   *ledger.Checkpoint // how far it has come
}

// run carries the pass out. False: it has ended early, as was asked for.
func (p *pass) run(ctx context.Context) (bool, error) {
	if err := p.walk.mem.noticeMove(time.Time{}, p.walk.rep.st.Watermark); err != nil {
		return false, err
	}
	if p.plan.GivesUp != nil {
		if err := p.giveUp(ctx, p.plan.GivesUp); err != nil {
			return false, err
		}
	}
	if err := p.checkpoint(); err != nil {
		return false, err
	}
	if err := p.begin(ctx); err != nil {
		return false, err
	}
	planner, err := p.walk.write.engine.Plan(ctx, p.walk.db.read, engine.Pass{Start: p.done.PassFrom, End: p.done.PassTo}, p.plan.created)
	if err != nil {
		return false, p.walk.db.explain(err)
	}
	p.leg = &leg{
		cursor: p.plan.Cursor, end: p.done.PassTo, planner: planner, horizon: p.at.horizon, moves: true,
		done: func(cursor time.Time, r engine.Result) error { return p.reach(ctx, cursor, r.Read) },
	}
	_, err = p.walk.walkLeg(ctx, budget{}, p.leg)
	if errors.Is(err, errFarEnough) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	whole := p.plan.GivesUp == nil && (p.plan.created.IsZero() || !p.plan.From.After(instant.Earlier(p.plan.created, p.plan.Watermark)))
	return true, p.walk.mem.change(func(m *ledger.Memory) {
		m.Passed(p.plan.From, p.done.PassTo, p.walk.rep.st.Watermark, whole)
		if whole && p.walk.write.engine.Reconciles() {
			m.Proven = m.Proven.With(ledger.Proof{At: p.at.horizon.Now})
		}
	})
}

// giveUp moves the watermark past history that is left out, and records it.
func (p *pass) giveUp(ctx context.Context, g *ledger.GivenUp) error {
	if err := p.walk.mem.change(func(m *ledger.Memory) { m.GiveUp(*g) }); err != nil {
		return err
	}
	if err := p.walk.stamp(ctx, g.Before, 0); err != nil {
		return err
	}
	p.walk.rep.log.Warn(fmt.Sprintf("the watermark passed over %s usage rows before %s, as asked; they are in no hourly row", report.Count(g.Events), instant.Stamp(g.Before)),
		journal.HistoryGivenUp.Attr(), journal.Watermark(g.Before))
	return nil
}

// checkpoint stores the checkpoint that the plan resumes, or a new one.
func (p *pass) checkpoint() error {
	p.done = p.plan.checkpoint
	if p.done == nil {
		p.done = &ledger.Checkpoint{
			Engine: p.walk.write.engine.Name(), PassFrom: p.plan.From, PassTo: p.plan.To, Cursor: p.plan.Cursor,
			Asked: p.plan.asked, StartedAt: time.Now(), Partial: p.plan.GivesUp,
		}
	}
	// The pass reads hours long before it comes to the corrections that open transactions
	// will have made in them; who carries it on later may not see that there was one.
	if err := p.at.deferPassed(p.done.PassTo); err != nil {
		return err
	}
	p.done.Total, p.done.Done = p.plan.Total, p.plan.Done
	return p.walk.mem.saveCheckpoint(p.done)
}

// begin counts what there is to do, unless the plan did, as soon as the
// throttle lets it read a whole table. The checkpoint is stored by then: what waits is
// under way, and goes on after a reboot.
func (p *pass) begin(ctx context.Context) error {
	rep := p.walk.rep
	if p.plan.uncounted {
		if err := p.walk.throttler.wait(ctx); err != nil {
			return err
		}
		rep.phase(report.Counting)
		if err := p.survey.count(ctx, p.plan); err != nil {
			return err
		}
	}
	if p.asked.Begins != nil {
		p.asked.Begins()
	}
	p.done.Total = p.plan.Total
	rep.pace.begin(time.Now(), p.plan.Done)
	rep.st.Progress = &report.Progress{Done: p.plan.Done, Total: p.plan.Total}
	rep.phase(report.Walking)
	return nil
}

// reach notes how far the pass has come, having read so many more usage rows.
func (p *pass) reach(ctx context.Context, cursor time.Time, read int64) error {
	c := p.done
	c.Cursor, c.Done = cursor, c.Done+read
	switch {
	case !cursor.Before(c.PassTo):
		c.Total = c.Done
	case c.Done >= c.Total:
		// Hours that corrections touch time and again are read more often than they are counted.
		c.Total = c.Done + max(read, 1)
	}
	var rest time.Duration
	if c.Done < c.Total {
		rest = p.walk.throttler.rest()
	}
	p.walk.rep.progress(c.Done, c.Total, rest)
	if err := p.walk.mem.saveCheckpoint(c); err != nil {
		return err
	}
	if err := p.lookAgain(ctx); err != nil {
		return err
	}
	return p.farEnough(ctx)
}

// lookAgain defers, before the next commit, what has been opened since the horizon was read. A pass takes hours,
// and its end stays what it was: who begins a transaction later writes later event times. But one may hold a
// snapshot, or move usage, that reaches back.
func (p *pass) lookAgain(ctx context.Context) error {
	anew, err := p.at.lookAgain(ctx)
	if err != nil || !anew {
		return err
	}
	p.leg.horizon = p.at.horizon
	return p.at.deferPassed(p.done.PassTo)
}

var errFarEnough = errors.New("far enough")

// farEnough asks whether the pass has come as far as was wanted; then it returns errFarEnough.
func (p *pass) farEnough(ctx context.Context) error {
	if p.asked.Until == nil {
		return nil
	}
	return p.walk.db.read(ctx, func(tx pgx.Tx) error {
		met, err := p.asked.Until(ctx, tx)
		if err == nil && met {
			err = errFarEnough
		}
		return err
	})
}
