package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// setPlanner ends slices by the usage rows that have to be read for them.
type setPlanner struct {
	pass    Pass
	history bool // the pass began at or before the oldest usage row
	odd     bool // of history: some usage was corrected before it was created
}

func (*set) Plan(ctx context.Context, read Read, pass Pass, oldest time.Time) (Planner, error) {
	p := setPlanner{pass: pass, history: !oldest.IsZero() && !oldest.Before(pass.Start)}
	if !p.history {
		return p, nil
	}
	err := read(ctx, func(tx pgx.Tx) error {
		defer pg.ReadsWholeTable(tx.Conn())()
		return tx.QueryRow(ctx, statements.Text("plan_odd_any", nil)).Scan(&p.odd)
	})
	if err != nil {
		return nil, fmt.Errorf("looking for usage corrected before it was created: %w", err)
	}
	return p, nil
}

func (p setPlanner) StartAt(at time.Time) Planner {
	p.history = p.history && !at.After(p.pass.Start)
	p.pass.Start = at
	return p
}

func (p setPlanner) Next(ctx context.Context, tx pgx.Tx, cursor, end time.Time, size int) (Plan, error) {
	if p.history {
		return p.nextOfHistory(ctx, tx, cursor, end, size)
	}
	e, err := planEvents(ctx, tx, cursor, end, p.pass.Start, size, false)
	if err != nil {
		return Plan{}, err
	}
	if e.crowded {
		// More events of one moment than fit a slice, or too many hours to read for them.
		return p.moment(ctx, tx, cursor, e.first.Add(time.Microsecond), size)
	}
	return single(p.pass, cursor, e.to, e.full, e.events), nil
}

// nextOfHistory ends a slice at an hour, by the number of usage rows created:
// all there is to read, since corrections are read with their own hour.
func (p setPlanner) nextOfHistory(ctx context.Context, tx pgx.Tx, cursor, end time.Time, size int) (Plan, error) {
	var nth time.Time
	err := tx.QueryRow(ctx, statements.Text("plan_history", nil), cursor, size).Scan(&nth)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Plan{}, fmt.Errorf("planning the next slice: %w", err)
	}
	to, full := end, false
	if err == nil {
		to, full = historyEnd(cursor, end, nth)
	}
	out := single(p.pass, cursor, to, full, int64(size))
	out.Slices[0].History = true
	if !p.odd {
		return out, nil
	}
	var odd []time.Time
	if err := tx.QueryRow(ctx, statements.Text("plan_odd", nil), cursor, to, ceilHour(to)).Scan(&odd); err != nil {
		return Plan{}, fmt.Errorf("planning the next slice: %w", err)
	}
	if len(odd) > 0 {
		out.Slices = append(out.Slices, Slice{From: cursor, To: to, Pass: p.pass, Hours: odd})
	}
	return out, nil
}

// historyEnd returns the whole hour at which a slice from cursor ends that should end at the row created at nth:
// before that row, or with its hour where the slice would otherwise be empty. Not full: it ends with the walk.
func historyEnd(cursor, end, nth time.Time) (to time.Time, full bool) {
	to = nth.Truncate(time.Hour)
	if !to.After(cursor) {
		to = to.Add(time.Hour)
	}
	if !to.Before(end) {
		return end, false
	}
	return to, true
}

// moment splits the events of one instant by the hours they touch, so that a
// batch of any size with one timestamp takes many short transactions.
func (p setPlanner) moment(ctx context.Context, tx pgx.Tx, from, to time.Time, size int) (Plan, error) {
	out := single(p.pass, from, to, true, int64(size))
	defer pg.ReadsWholeTable(tx.Conn())() // where a maintenance command gave all usage one timestamp
	rows, err := tx.Query(ctx, statements.Text("plan_moment", nil), from, to, p.pass.Start)
	if err != nil {
		return Plan{}, fmt.Errorf("planning a moment: %w", err)
	}
	out.Slices = nil
	s := Slice{From: from, To: to, Pass: p.pass, Events: int64(size)}
	var hour time.Time
	var inHour, sum int64
	_, err = pgx.ForEachRow(rows, []any{&hour, &inHour}, func() error {
		if sum > 0 && sum+inHour > int64(size) {
			out.Slices = append(out.Slices, s)
			s.Hours, sum = nil, 0
		}
		s.Hours, sum = append(s.Hours, hour), sum+inHour
		return nil
	})
	if err != nil {
		return Plan{}, fmt.Errorf("planning a moment: %w", err)
	}
	out.Slices = append(out.Slices, s)
	return out, nil
}

// single is a plan of one slice.
func single(pass Pass, from, to time.Time, full bool, events int64) Plan {
	return Plan{Slices: []Slice{{From: from, To: to, Pass: pass, Events: events}}, To: to, Full: full, Events: events}
}

// events is what plan_events.sql says of a stretch.
type events struct {
	first   *time.Time // nil where there is no event
	to      time.Time
	full    bool // the slice ends by its size
	crowded bool // not even the events of the first instant fit
	events  int64
}

// planEvents finds where a slice from cursor ends. eachInTurn: the engine comes to every event in its own time.
func planEvents(ctx context.Context, tx pgx.Tx, cursor, end, start time.Time, size int, eachInTurn bool) (events, error) {
	e := events{to: end}
	var nth, heavy *time.Time
	err := tx.QueryRow(ctx, statements.Text("plan_events", nil), cursor, end, size, start, size, eachInTurn).Scan(&e.first, &nth, &heavy, &e.events)
	if err != nil {
		return e, fmt.Errorf("planning the next slice: %w", err)
	}
	for _, t := range []*time.Time{nth, heavy} {
		if t != nil && t.Before(e.to) {
			e.to, e.full = *t, true
		}
	}
	e.crowded = e.full && e.first != nil && !e.to.After(*e.first)
	if hour := e.to.Truncate(time.Hour); e.full && !e.crowded && hour.Sub(cursor) >= time.Hour {
		e.to = hour // no hour of history is cut in two
	}
	return e, nil
}
