package throttle

import (
	"context"
	"fmt"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// replicaLag pauses while a replica that streams lags by more.
func replicaLag(c config.Backfill) (signal, error) {
	read := func(ctx context.Context, q pg.Querier) (r reading, err error) {
		var standbys, hidden int
		var seconds float64
		if err := q.QueryRow(ctx, statement("replica_lag")).Scan(&standbys, &hidden, &seconds); err != nil {
			return r, err
		}
		if lag := time.Duration(seconds * float64(time.Second)); lag > c.MaxReplicaLag {
			r.reason = fmt.Sprintf("a replica lags by %s, at most %s is wanted", lag.Round(time.Second), c.MaxReplicaLag)
		}
		if hidden > 0 {
			r.unread = "pg_stat_replication is hidden from this role: grant pg_monitor"
		}
		return r, nil
	}
	return signal{name: "replica lag", key: "max_replica_lag", on: c.MaxReplicaLag > 0, database: read}, nil
}
