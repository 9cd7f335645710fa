package rollup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// Bounds on the size of a slice, in usage rows.
const (
	firstSize = 20_000
	floorSize = 500
	ceilSize  = 1_000_000
)

// plan is what comes next: one slice, or one moment in several slices.
type plan struct {
	slices []Slice // all but the last leave the watermark where it is
	to     time.Time
	full   bool // ended by its size, not by the end of the walk
	events int64
}

// planner finds where slices end. It reads indexes alone, before any lock is taken.
type planner struct {
	pass    Pass
	history bool // the pass began at or before the oldest usage row
	odd     bool // of history: some usage was corrected before it was created
	byHours bool // the engine can work a moment through by bucket hours
}

// startAt begins the pass anew, where the walk was sent by others: the hours
// between its old start and there have not been read in it.
func (p planner) startAt(at time.Time) planner {
	p.history = p.history && !at.After(p.pass.Start)
	p.pass.Start = at
	return p
}

// next plans from cursor towards end, for about size usage rows.
func (p planner) next(ctx context.Context, tx pgx.Tx, cursor, end time.Time, size int) (plan, error) {
	if p.history {
		return p.nextOfHistory(ctx, tx, cursor, end, size)
	}
	var first, nth, heavy *time.Time
	var events int64
	err := tx.QueryRow(ctx, statement("plan_events", false), cursor, end, size, p.pass.Start, size, !p.byHours).Scan(&first, &nth, &heavy, &events)
	if err != nil {
		return plan{}, fmt.Errorf("planning the next slice: %w", err)
	}
	to, full := end, false
	for _, t := range []*time.Time{nth, heavy} {
		if t != nil && t.Before(to) {
			to, full = *t, true
		}
	}
	if full && first != nil && !to.After(*first) {
		// More events of one moment than fit a slice, or too many hours to read for them.
		return p.moment(ctx, tx, cursor, first.Add(time.Microsecond), size)
	}
	if hour := to.Truncate(time.Hour); full && hour.Sub(cursor) >= time.Hour {
		to = hour // no hour of history is cut in two
	}
	if full && !p.byHours {
		return p.counted(ctx, tx, cursor, to)
	}
	return p.single(cursor, to, full, events), nil
}

// counted is a full slice of an engine that does not say how much it has read: its events are counted.
func (p planner) counted(ctx context.Context, tx pgx.Tx, from, to time.Time) (plan, error) {
	var events int64
	if err := tx.QueryRow(ctx, statement("count_events", false), from, to).Scan(&events); err != nil {
		return plan{}, fmt.Errorf("counting the events of a slice: %w", err)
	}
	return p.single(from, to, true, events), nil
}

func (p planner) single(from, to time.Time, full bool, events int64) plan {
	return plan{slices: []Slice{{From: from, To: to, Pass: p.pass}}, to: to, full: full, events: events}
}

// nextOfHistory ends a slice at an hour, by the number of usage rows created:
// all there is to read, since corrections are read with their own hour.
func (p planner) nextOfHistory(ctx context.Context, tx pgx.Tx, cursor, end time.Time, size int) (plan, error) {
	var nth time.Time
	err := tx.QueryRow(ctx, statement("plan_history", false), cursor, size).Scan(&nth)
	to, full := end, false
	switch {
	case err == nil:
		if hour := nth.Truncate(time.Hour); hour.After(cursor) {
			to, full = hour, true
		} else {
			to, full = hour.Add(time.Hour), true
		}
		if !to.Before(end) {
			to, full = end, false
		}
	case err != pgx.ErrNoRows:
		return plan{}, fmt.Errorf("planning the next slice: %w", err)
	}
	out := p.single(cursor, to, full, int64(size))
	out.slices[0].History = true
	if !p.odd {
		return out, nil
	}
	var odd []time.Time
	if err := tx.QueryRow(ctx, statement("plan_odd", false), cursor, to, ceilHour(to)).Scan(&odd); err != nil {
		return plan{}, fmt.Errorf("planning the next slice: %w", err)
	}
	if len(odd) > 0 {
		out.slices = append(out.slices, Slice{From: cursor, To: to, Pass: p.pass, Hours: odd})
	}
	return out, nil
}

// moment splits the events of one instant by the hours they touch, so that a
// batch of any size with one timestamp takes many short transactions.
func (p planner) moment(ctx context.Context, tx pgx.Tx, from, to time.Time, size int) (plan, error) {
	if !p.byHours {
		return p.counted(ctx, tx, from, to)
	}
	out := p.single(from, to, true, int64(size))
	defer pg.ReadsWholeTable(tx.Conn())() // where a maintenance command gave all usage one timestamp
	rows, err := tx.Query(ctx, statement("plan_moment", false), from, to, p.pass.Start)
	if err != nil {
		return plan{}, fmt.Errorf("planning a moment: %w", err)
	}
	out.slices = nil
	s := Slice{From: from, To: to, Pass: p.pass}
	var hour time.Time
	var inHour, sum int64
	_, err = pgx.ForEachRow(rows, []any{&hour, &inHour}, func() error {
		if sum > 0 && sum+inHour > int64(size) {
			out.slices = append(out.slices, s)
			s.Hours, sum = nil, 0
		}
		s.Hours, sum = append(s.Hours, hour), sum+inHour
		return nil
	})
	if err != nil {
		return plan{}, fmt.Errorf("planning a moment: %w", err)
	}
	out.slices = append(out.slices, s)
	return out, nil
}

// resize returns the size for the next slice: at most twice as much, at once
// less, aiming at the target duration.
func resize(size int, took, target time.Duration, full bool) int {
	factor := 2.0
	if took > 0 {
		factor = min(factor, float64(target)/float64(took))
	}
	if factor > 1 && !full {
		return size // a slice that ended early tells nothing of a larger one
	}
	return min(ceilSize, max(floorSize, int(float64(size)*factor)))
}
