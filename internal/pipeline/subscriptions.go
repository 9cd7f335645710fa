package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// Subscription is a logical subscription that feeds a table of the pipeline.
// What it brings was written elsewhere: its rows carry the times of the origin,
// however late they arrive, and the triggers that queue invalidations do not fire.
type Subscription struct {
	Table, Name string
	Enabled     bool
}

func (p *Pipeline) readSubscriptions(ctx context.Context, q pg.Querier) error {
	rows, err := q.Query(ctx, query("subscriptions"), tables)
	if err != nil {
		return err
	}
	p.Subscriptions, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Subscription])
	return err
}

// Subscribed says in one line which tables come by which subscription; "" where none does.
func (p *Pipeline) Subscribed() string {
	var names []string
	tables := map[string][]string{}
	for _, s := range p.Subscriptions {
		if !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
		tables[s.Name] = append(tables[s.Name], s.Table)
	}
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("logical subscription %s feeds %s", pg.Quote(name), strings.Join(tables[name], ", ")))
	}
	return strings.Join(parts, "; ")
}
