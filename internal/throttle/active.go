package throttle

import (
	"context"
	"fmt"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// activeSessions pauses while more sessions of the server are active; those of
// other roles do not count where ours may not see what they do.
func activeSessions(c config.Backfill) (signal, error) {
	read := func(ctx context.Context, q pg.Querier) (r reading, err error) {
		var n, hidden int
		if err := q.QueryRow(ctx, statement("active")).Scan(&n, &hidden); err != nil {
			return r, err
		}
		if n > c.MaxActive {
			r.reason = fmt.Sprintf("%d sessions are active, at most %d are wanted", n, c.MaxActive)
		}
		if hidden > 0 {
			r.unread = "what other roles' sessions do is hidden from this role: grant pg_read_all_stats"
		}
		return r, nil
	}
	return signal{name: "active sessions", key: "max_active", on: c.MaxActive > 0, database: read}, nil
}
