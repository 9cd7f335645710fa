package verify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/instant"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup/engine"
	"github.com/multica-rollup/multica-rollup/internal/sizing"
)

// The kinds of windows.
const (
	kindRecent  = "recent"
	kindHistory = "history"
	kindQueue   = "queue"
)

// sampler chooses windows and has them compared.
type sampler struct {
	v             *Verifier
	set, function engine.Engine
	events        sizing.Size // events aimed at for the next window
	r             *EngineReport
}

// run compares the queue, the last events, and random windows of history.
func (s *sampler) run(ctx context.Context) error {
	var oldest, newest, recent *time.Time
	err := s.v.scan.row(ctx, []any{&oldest, &newest, &recent}, statement("engine_span"), s.events.Rows())
	if err != nil {
		return s.v.explain(fmt.Errorf("reading the span of raw usage: %w", err))
	}
	var queued int64
	if err := s.v.scan.row(ctx, []any{&queued}, "select count(*) from (select from task_usage_hourly_dirty limit $1) q", queueKeys+1); err != nil {
		return s.v.explain(fmt.Errorf("reading the queue: %w", err))
	}
	switch {
	case queued > queueKeys:
		s.skip("the queue is longer than %s keys: compare again when a run has worked it off", report.Count(queueKeys))
	case queued > 0:
		// Events of the future there are none, so this window is the queue alone.
		to := s.v.scan.now.Add(24 * time.Hour)
		if err := s.window(ctx, EngineWindow{Kind: kindQueue, From: to.Add(-time.Microsecond), To: to, Events: queued}); err != nil {
			return err
		}
	}
	if oldest == nil || newest == nil || recent == nil {
		return nil
	}
	if err := s.next(ctx, kindRecent, *recent); err != nil {
		return err
	}
	for len(s.r.Windows)+len(s.r.Skipped) < s.v.opts.Windows {
		at := oldest.Add(time.Duration(rand.Int64N(int64(newest.Sub(*oldest)) + 1)))
		if err := s.next(ctx, kindHistory, at); err != nil {
			return err
		}
	}
	return nil
}

// next compares the window that begins with the first event from at on. A
// window that takes too long is cut, down to a few events.
func (s *sampler) next(ctx context.Context, kind string, at time.Time) error {
	for {
		w := EngineWindow{Kind: kind}
		var first, after *time.Time
		if err := s.v.scan.row(ctx, []any{&first, &after}, statement("engine_next"), at, s.events.Rows()); err != nil {
			return s.v.explain(fmt.Errorf("choosing a window: %w", err))
		}
		if first == nil {
			return nil
		}
		w.From = first.UTC()
		switch {
		case after == nil:
			w.To = instant.Later(s.v.scan.now, w.From).Add(time.Microsecond).UTC()
		case after.After(*first):
			w.To = after.UTC()
		default:
			w.To = w.From.Add(time.Microsecond)
		}
		var queued int64
		if err := s.v.scan.row(ctx, []any{&w.Events, &queued}, statement("engine_count"), w.From, w.To, momentEvents+1); err != nil {
			return s.v.explain(fmt.Errorf("choosing a window: %w", err))
		}
		if w.Events > momentEvents {
			s.skip("%s: more than %s events have one timestamp", report.Stamp(w.From), report.Count(momentEvents))
			return nil
		}
		if queued > queueKeys {
			s.skip("%s: the function would take more than %s queued keys along", report.Stamp(w.From), report.Count(queueKeys))
			return nil
		}
		err := s.window(ctx, w)
		if pg.SQLState(err) == pg.StateQueryCanceled {
			if w.Events > windowFloor { // one of few events that takes long says nothing of larger ones
				if s.events.Cap(int(w.Events)); s.events.Cut(4) {
					continue
				}
			}
			s.skip("%s: an engine took longer than %s for %s events", report.Stamp(w.From), engineStatement, report.Count(w.Events))
			return nil
		}
		return err
	}
}

// window compares one window, and tries again where others were faster. A
// statement timeout is returned as it is.
func (s *sampler) window(ctx context.Context, w EngineWindow) error {
	err := s.v.scan.waiting(ctx, enginePatience, engineLock, func() error { return s.compareWindow(ctx, &w) })
	switch {
	case err == nil:
		s.r.Rows += w.Rows
		s.r.Equal = s.r.Equal && len(w.Differences) == 0
		s.r.Windows = append(s.r.Windows, w)
		s.v.st.Rows = s.r.Rows
		s.v.observe()
		return nil
	case ctx.Err() != nil:
		return err
	case pg.Contended(err):
		s.skip("%s: others held the roll-up's locks for too long", report.Stamp(w.From))
		return nil
	case pg.SQLState(err) == pg.StateQueryCanceled && w.Kind == kindQueue:
		s.skip("an engine took longer than %s for the queue's %s keys", engineStatement, report.Count(w.Events))
		return nil
	case pg.SQLState(err) == pg.StateQueryCanceled:
		return err
	}
	return s.v.explain(err)
}

func (s *sampler) skip(format string, args ...any) {
	s.r.Skipped = append(s.r.Skipped, fmt.Sprintf(format, args...))
}

// keys reads the keys that a window touches.
func (s *sampler) keys(ctx context.Context, tx pgx.Tx, w *EngineWindow) ([]Key, error) {
	var rows pgx.Rows
	var err error
	if w.Kind == kindQueue {
		rows, err = tx.Query(ctx, statement("engine_keys_queue"), queueKeys)
	} else {
		rows, err = tx.Query(ctx, statement("engine_keys_window"), w.From, w.To)
	}
	if err != nil {
		return nil, fmt.Errorf("reading a window's keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Key])
	if err != nil {
		return nil, fmt.Errorf("reading a window's keys: %w", err)
	}
	return keys, nil
}

// arrays turns keys into the arrays that the statements take: hours, and the
// six texts in the order of Key's fields.
func arrays(keys []Key) (hours []time.Time, texts [6][]string) {
	hours = make([]time.Time, len(keys))
	for i := range texts {
		texts[i] = make([]string, len(keys))
	}
	for i, k := range keys {
		hours[i] = k.Hour
		for j, s := range []string{k.Workspace, k.Runtime, k.Agent, k.Project, k.Provider, k.Model} {
			texts[j][i] = s
		}
	}
	return hours, texts
}

func distinct(hours []time.Time) []time.Time {
	slices.SortFunc(hours, time.Time.Compare)
	return slices.CompactFunc(hours, time.Time.Equal)
}
