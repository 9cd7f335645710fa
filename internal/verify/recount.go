package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/instant"
	"github.com/multica-rollup/multica-rollup/internal/pause"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
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

// sweep compares the bucket hours from one on chunk by chunk, in order.
func (v *Verifier) sweep(ctx context.Context, cursor time.Time, each func(*chunk) error) error {
	for cursor.Before(latest) {
		s, err := v.plan(ctx, cursor)
		if err != nil {
			return v.explain(err)
		}
		if !s.from.Before(s.to) {
			return nil
		}
		started := time.Now()
		c, err := v.patiently(ctx, []span{s})
		if pg.SQLState(err) == pg.StateQueryCanceled && v.size.Cut(4) {
			continue
		}
		if err != nil {
			return v.tooSlow(err, s)
		}
		v.size.Took(time.Since(started), true)
		if err := each(c); err != nil {
			return err
		}
		cursor = s.to
	}
	return nil
}

// look compares some hours again: all in one statement, unless that takes too long.
func (v *Verifier) look(ctx context.Context, spans []span, each func(*chunk) error) error {
	c, err := v.patiently(ctx, spans)
	if n := len(spans); pg.SQLState(err) == pg.StateQueryCanceled && n > 1 {
		if err := v.look(ctx, spans[:n/2], each); err != nil {
			return err
		}
		return v.look(ctx, spans[n/2:], each)
	}
	if err != nil {
		return v.tooSlow(err, spans[0])
	}
	return each(c)
}

// patiently compares some hours, waiting for who locks the tables themselves.
func (v *Verifier) patiently(ctx context.Context, spans []span) (c *chunk, err error) {
	err = v.waiting(ctx, tableLockPatience, time.Second, func() (err error) {
		c, err = v.compare(ctx, spans)
		return err
	})
	return c, err
}

// waiting repeats a whole transaction, with a pause between, while others are in its way: the last refusal is
// returned when the patience is over.
func (v *Verifier) waiting(ctx context.Context, patience, between time.Duration, try func() error) error {
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
func (v *Verifier) tooSlow(err error, s span) error {
	if pg.SQLState(err) != pg.StateQueryCanceled {
		return v.explain(err)
	}
	return problem.Wrap(err, problem.Failed, "raise walk.statement_timeout in the configuration, or look for what slows the database down",
		"recounting %s to %s does not end within %s, and it cannot be cut any smaller", report.Stamp(s.from), report.Stamp(s.to), v.opts.Walk.StatementTimeout)
}

// plan returns the next chunk at or after cursor: whole hours, about v.size
// rows of either side; an empty one where nothing is left.
func (v *Verifier) plan(ctx context.Context, cursor time.Time) (span, error) {
	var first, nth *time.Time
	if err := v.row(ctx, []any{&first, &nth}, statement("plan"), cursor, v.size.Rows()); err != nil {
		return span{}, fmt.Errorf("planning a chunk: %w", err)
	}
	if first == nil {
		return span{}, nil
	}
	s := span{from: instant.Later(first.UTC(), cursor), to: latest}
	if nth != nil {
		s.to = instant.Later(nth.UTC(), s.from.Add(time.Hour))
	}
	return s, nil
}

// compare recounts one chunk, in a transaction and a snapshot of its own.
func (v *Verifier) compare(ctx context.Context, spans []span) (*chunk, error) {
	why, err := v.excuses()
	if err != nil {
		return nil, err
	}
	var c *chunk
	from, to := make([]time.Time, len(spans)), make([]time.Time, len(spans))
	for i, s := range spans {
		from[i], to[i] = s.from, s.to
	}
	settings := pg.TxSettings{
		LockTimeout: v.opts.Walk.LockTimeout, StatementTimeout: v.opts.Walk.StatementTimeout,
		ReadOnly: true, NoClientCheck: !v.pipe.ClientCheck,
	}
	err = v.inTx(ctx, settings, func(tx pgx.Tx) error {
		c = &chunk{spans: spans}
		if _, err := tx.Exec(ctx, "set local work_mem = '32MB'"); err != nil {
			return err // the default would put a chunk's hashes on disk
		}
		rows, err := tx.Query(ctx, statements.Text("compare", v.pipe.Columns), from, to, why.from, why.to, why.givenUpBefore)
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
			if len(c.wrong) < v.opts.List+countersKept {
				d.Counters = counters(v.pipe.Columns.Names(), hourly, raw)
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
func (v *Verifier) estimate(ctx context.Context, from time.Time) int64 {
	var text string
	// EXPLAIN takes no parameters in some poolers' protocols; a time in this form cannot hold a quote.
	sql := "explain (format json) select from task_usage where created_at >= '" + from.UTC().Format("2006-01-02 15:04:05") + "+00'"
	if err := v.row(ctx, []any{&text}, sql); err != nil {
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
