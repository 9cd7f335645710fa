package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/instant"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pause"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/session"
	"github.com/multica-rollup/multica-rollup/internal/sizing"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

// Recounting is the phase of a recount.
const Recounting report.Phase = "recounting"

// Bounds on the rows of a chunk, of either side. The most bounds what a chunk
// in which every key is wrong takes of this process's memory.
const (
	firstSize = 10_000
	floorSize = 500
	ceilSize  = 30_000
)

// countersKept is for how many wrong keys of a chunk, beyond those that are to
// be named, the counters are kept: where all keys are wrong they are a crowd.
const countersKept = 1000

// chunkTarget is how long one chunk's snapshot should live: vacuum goes on behind it.
const chunkTarget = time.Second

// tableLockPatience is how long a chunk waits for a lock on the tables themselves: a migration is at work.
const tableLockPatience = time.Minute

// The earliest and the latest bucket hour.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
)

// span is a stretch of whole bucket hours, half-open.
type span struct{ from, to time.Time }

// chunk is what one statement found.
type chunk struct {
	spans                                       []span
	usage, hourly                               int64
	ahead, queued, owed, givenUp, notRecomputed int64
	kept, keptTokens                            int64
	keptAgents                                  []string
	watermark                                   time.Time
	wrong                                       []Difference
}

// scan reads a database chunk by chunk, each in a transaction and a snapshot of its own.
type scan struct {
	connector *pg.Connector
	session   *session.Session
	walk      config.Walk
	list      int          // how many wrong keys are to be named
	store     *state.Store // of what the agent remembers; nil where there is none
	size      sizing.Size  // rows aimed at for the next chunk
	now       time.Time    // the database's clock when the work began
}

// pipe is what was found in the database when it was opened.
func (s *scan) pipe() *pipeline.Pipeline { return s.session.Pipeline() }

func (s *scan) explain(err error) error { return s.connector.Explain(err) }

// sweep compares the bucket hours from one on chunk by chunk, in order.
func (s *scan) sweep(ctx context.Context, cursor time.Time, each func(*chunk) error) error {
	for cursor.Before(latest) {
		next, err := s.plan(ctx, cursor)
		if err != nil {
			return s.explain(err)
		}
		if !next.from.Before(next.to) {
			return nil
		}
		started := time.Now()
		c, err := s.patiently(ctx, []span{next})
		if pg.SQLState(err) == pg.StateQueryCanceled && s.size.Cut(4) {
			continue
		}
		if err != nil {
			return s.tooSlow(err, next)
		}
		s.size.Took(time.Since(started), true)
		if err := each(c); err != nil {
			return err
		}
		cursor = next.to
	}
	return nil
}

// look compares some hours again: all in one statement, unless that takes too long.
func (s *scan) look(ctx context.Context, spans []span, each func(*chunk) error) error {
	c, err := s.patiently(ctx, spans)
	if n := len(spans); pg.SQLState(err) == pg.StateQueryCanceled && n > 1 {
		if err := s.look(ctx, spans[:n/2], each); err != nil {
			return err
		}
		return s.look(ctx, spans[n/2:], each)
	}
	if err != nil {
		return s.tooSlow(err, spans[0])
	}
	return each(c)
}

// patiently compares some hours, waiting for who locks the tables themselves.
func (s *scan) patiently(ctx context.Context, spans []span) (c *chunk, err error) {
	err = s.waiting(ctx, tableLockPatience, time.Second, func() (err error) {
		c, err = s.compare(ctx, spans)
		return err
	})
	return c, err
}

// waiting repeats a whole transaction, with a pause between, while others are in its way: the last refusal is
// returned when the patience is over.
func (s *scan) waiting(ctx context.Context, patience, between time.Duration, try func() error) error {
	err := pg.WaitForLock(try, func(waited time.Duration, refusal error) error {
		if waited >= patience {
			return refusal
		}
		return pause.For(ctx, between)
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", ctx.Err())
	}
	return err
}

// tooSlow words a statement timeout that nothing can be done about here, and explains every other error.
func (s *scan) tooSlow(err error, hours span) error {
	if pg.SQLState(err) != pg.StateQueryCanceled {
		return s.explain(err)
	}
	return problem.Wrap(err, problem.Failed, "raise walk.statement_timeout in the configuration, or look for what slows the database down",
		"recounting %s to %s does not end within %s, and it cannot be cut any smaller", report.Stamp(hours.from), report.Stamp(hours.to), s.walk.StatementTimeout)
}

// plan returns the next chunk at or after cursor: whole hours, about s.size
// rows of either side; an empty one where nothing is left.
func (s *scan) plan(ctx context.Context, cursor time.Time) (span, error) {
	var first, nth *time.Time
	if err := s.row(ctx, []any{&first, &nth}, statement("plan"), cursor, s.size.Rows()); err != nil {
		return span{}, fmt.Errorf("planning a chunk: %w", err)
	}
	if first == nil {
		return span{}, nil
	}
	next := span{from: instant.Later(first.UTC(), cursor), to: latest}
	if nth != nil {
		next.to = instant.Later(nth.UTC(), next.from.Add(time.Hour))
	}
	return next, nil
}

// compare recounts one chunk, in a transaction and a snapshot of its own.
func (s *scan) compare(ctx context.Context, spans []span) (*chunk, error) {
	why, err := s.excuses()
	if err != nil {
		return nil, err
	}
	var c *chunk
	from, to := make([]time.Time, len(spans)), make([]time.Time, len(spans))
	for i, hours := range spans {
		from[i], to[i] = hours.from, hours.to
	}
	settings := pg.TxSettings{
		LockTimeout: s.walk.LockTimeout, StatementTimeout: s.walk.StatementTimeout,
		ReadOnly: true, NoClientCheck: !s.pipe().ClientCheck,
	}
	err = s.inTx(ctx, settings, func(tx pgx.Tx) error {
		c = &chunk{spans: spans}
		if _, err := tx.Exec(ctx, "set local work_mem = '32MB'"); err != nil {
			return err // the default would put a chunk's hashes on disk
		}
		rows, err := tx.Query(ctx, statements.Text("compare", s.pipe().Columns), from, to, why.from, why.to, why.givenUpBefore)
		if err != nil {
			return err
		}
		var d Difference
		var hour, mark *time.Time
		var raw, hourly []*int64
		var agents []string
		_, err = pgx.ForEachRow(rows, []any{
			&d.Kind, &hour, &d.Workspace, &d.Runtime, &d.Agent, &d.Project, &d.Provider, &d.Model, &raw, &hourly, &mark, &agents,
		}, func() error {
			if d.Kind == "" {
				for i, into := range []*int64{&c.usage, &c.hourly, &c.ahead, &c.queued, &c.owed, &c.givenUp, &c.notRecomputed, &c.kept, &c.keptTokens} {
					*into = *raw[i]
				}
				c.watermark, c.keptAgents = *mark, agents
				return nil
			}
			d.Hour, d.Counters = hour.UTC(), nil
			if len(c.wrong) < s.list+countersKept {
				d.Counters = counters(s.pipe().Columns.Names(), hourly, raw)
			}
			c.wrong = append(c.wrong, d)
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("recounting %s to %s: %w", report.Stamp(spans[0].from), report.Stamp(spans[len(spans)-1].to), err)
	}
	return c, nil
}

// estimate returns how many usage rows the planner expects from the given hour on; 0 where it cannot tell.
func (s *scan) estimate(ctx context.Context, from time.Time) int64 {
	var text string
	// EXPLAIN takes no parameters in some poolers' protocols; a time in this form cannot hold a quote.
	sql := "explain (format json) select from task_usage where created_at >= '" + from.UTC().Format("2006-01-02 15:04:05") + "+00'"
	if err := s.row(ctx, []any{&text}, sql); err != nil {
		return 0
	}
	var plans []struct {
		Plan struct {
			Rows float64 `json:"Plan Rows"`
		}
	}
	if json.Unmarshal([]byte(text), &plans) != nil || len(plans) == 0 {
		return 0
	}
	return int64(plans[0].Plan.Rows)
}

// remembered reads the agent's memory; what cannot be used of it is empty.
func (s *scan) remembered() (ledger.Memory, error) {
	m, err := s.store.Load()
	if err != nil && !state.Unusable(err) {
		return m, problem.Wrap(err, problem.Failed, "look at the state directory "+s.store.Dir(), "%v", err)
	}
	return m, nil
}

// excuses reads the agent's memory; it is read before the statement that it is
// for, since what is owed is written down before the watermark passes it.
func (s *scan) excuses() (excuses, error) {
	// Empty, not NULL: the statement asks for its length.
	e := excuses{from: []time.Time{}, to: []time.Time{}, givenUpBefore: earliest}
	if s.store == nil {
		return e, nil
	}
	m, err := s.remembered()
	if err != nil {
		return e, err
	}
	for _, d := range m.Deferred {
		if d.Kind == ledger.Gap && s.now.Sub(d.From) > gapPatience {
			continue
		}
		to := d.To
		if d.Moves && s.now.After(to) {
			to = s.now
		}
		e.from, e.to = append(e.from, d.From), append(e.to, to)
	}
	if m.GivenUp != nil {
		e.givenUpBefore = m.GivenUp.Before
	}
	return e, nil
}

// row reads one row in a transaction of its own, on a new connection where the old one is lost.
func (s *scan) row(ctx context.Context, into []any, sql string, args ...any) error {
	return s.inTx(ctx, s.pipe().Reads(), func(tx pgx.Tx) error { return tx.QueryRow(ctx, sql, args...).Scan(into...) })
}

// inTx runs a whole transaction, once more where the connection is lost in it.
func (s *scan) inTx(ctx context.Context, settings pg.TxSettings, fn func(pgx.Tx) error) error {
	return s.session.Do(ctx, func(conn *pgx.Conn) error { return pg.InTx(ctx, conn, settings, fn) })
}
