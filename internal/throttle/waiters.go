package throttle

import (
	"context"
	"fmt"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// lockWaiters pauses while more sessions of the database wait on locks.
func lockWaiters(c config.Backfill) (signal, error) {
	read := func(ctx context.Context, q pg.Querier) (r reading, err error) {
		var n int
		if err := q.QueryRow(ctx, statement("waiters")).Scan(&n); err != nil {
			return r, err
		}
		if n > c.MaxLockWaiters {
			r.reason = fmt.Sprintf("%d sessions wait on locks, at most %d are wanted", n, c.MaxLockWaiters)
		}
		return r, nil
	}
	return signal{name: "sessions waiting on locks", key: "max_lock_waiters", on: c.MaxLockWaiters > 0, database: read}, nil
}
