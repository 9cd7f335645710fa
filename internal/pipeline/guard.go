package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// Guard is what migration 103 would say now.
type Guard struct {
	Pass      bool      `json:"pass"`
	Applied   bool      `json:"applied"`               // 103 has been applied: there is nothing left to pass
	NoTables  bool      `json:"no_tables"`             // migrations 101 and 102 have not been applied either
	Watermark time.Time `json:"watermark,omitzero"`    // zero where there is no state row, or no table of it
	Newest    time.Time `json:"newest_event,omitzero"` // zero where task_usage is empty
}

// Trails returns how far the watermark trails the newest event; it is not positive where it does not.
func (g Guard) Trails() time.Duration {
	if g.Newest.IsZero() {
		return 0
	}
	return g.Newest.Sub(g.Watermark)
}

// Pending says whether migration 103 has still to pass.
func (g Guard) Pending() bool { return !g.Applied }

// ReadGuard gives migration 103's verdict on the database: it passes where
// task_usage is empty, or the watermark trails its newest event by at most an
// hour. It fails with Check's problem where there is no task_usage, or where
// there may be more of it than is seen.
func ReadGuard(ctx context.Context, q pg.Querier, p *Pipeline) (Guard, error) {
	var g Guard
	if !p.Relations[Usage].Present() {
		return g, p.Check()
	}
	if r := p.Refusal(); r != nil && r.Blind() {
		return g, r.Problem()
	}
	var newest, watermark *time.Time
	var err error
	if p.Relations[State].Present() {
		err = q.QueryRow(ctx, query("guard")).Scan(&newest, &watermark, &g.Pass)
	} else {
		err = q.QueryRow(ctx, query("guard_before_101")).Scan(&newest)
		g.NoTables, g.Pass = true, newest == nil
	}
	if err != nil {
		return g, fmt.Errorf("reading what migration 103 compares: %w", err)
	}
	if newest != nil {
		g.Newest = *newest
	}
	if watermark != nil {
		g.Watermark = *watermark
	}
	// The legacy tables are what 103 drops: where schema_migrations may not be read they tell.
	if !g.NoTables && (p.Applied("103") || !p.Legacy) {
		g.Applied, g.Pass = true, true
	}
	return g, nil
}
