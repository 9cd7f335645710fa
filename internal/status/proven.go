package status

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// ReadUnproven finds out what is in the hours that are not proven; nil where nothing is.
func ReadUnproven(ctx context.Context, q pg.Querier, m *ledger.Memory) (*report.Unproven, error) {
	u := &report.Unproven{Ranges: m.Proven.Unproven()}
	var from, to []pgtype.Timestamptz
	for _, r := range u.Ranges {
		from = append(from, bound(r.From.IsZero(), pgtype.Timestamptz{Time: r.From, Valid: true}, pgtype.NegativeInfinity))
		to = append(to, bound(r.To.IsZero(), pgtype.Timestamptz{Time: r.To, Valid: true}, pgtype.Infinity))
	}
	if len(from) == 0 {
		return nil, nil
	}
	var hourly bool
	if err := q.QueryRow(ctx, statement("unproven"), from, to, countBound+1).Scan(&u.Rows.Count, &hourly); err != nil {
		return nil, fmt.Errorf("counting what is not proven: %w", err)
	}
	if u.Rows.Count == 0 && !hourly {
		return nil, nil
	}
	if u.Rows.Count > countBound {
		u.Rows.Count, u.Rows.More = countBound, true
	}
	if m.Incarnation == nil {
		u.Unknown, u.Reason = true, "this agent remembers no run on this database"
	}
	if n := len(m.Notices); n > 0 {
		u.Reason, u.Since = m.Notices[n-1].Text, m.Notices[n-1].At
	}
	return u, nil
}

func bound(none bool, at pgtype.Timestamptz, end pgtype.InfinityModifier) pgtype.Timestamptz {
	if none {
		return pgtype.Timestamptz{InfinityModifier: end, Valid: true}
	}
	return at
}
