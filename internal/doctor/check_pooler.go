package doctor

import (
	"context"
	"errors"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// poolerCheck: a pooler in transaction or session mode does no harm, since
// nothing of ours stays on a session. In statement mode no transaction works.
func poolerCheck() Check {
	return Check{ID: "pooler", Title: "no connection pooler is in the way", Needs: []string{"reach"}, Run: func(ctx context.Context, env *Env) Finding {
		var first, second uint32
		err := env.backends(ctx, &first, &second)
		// A pooler makes up the key for cancel requests itself, so its pid is no backend's.
		pooled := first != second || first != 0 && env.conn.PgConn().PID() != first
		if _, split := errors.AsType[*pg.SplitError](err); split {
			err = env.Connector.Explain(err)
			return critical(Fix{Advice: problem.HintOf(err)}, "%s", err.Error())
		}
		if err != nil && pooled {
			return critical(Fix{Advice: "set pool_mode = transaction for this database in pgbouncer.ini, then RELOAD on PgBouncer's console"},
				"a pooler gives no transactions: %s", env.Connector.Explain(err).Error())
		}
		if err != nil {
			return env.unknown(err)
		}
		if pooled {
			return well("a pooler is in between, in a mode that does no harm")
		}
		return well("the connection is direct")
	}}
}

// backends reads the server process twice: alone, then in a transaction. It is the one
// statement of ours outside of a transaction, for what a pooler does with such.
func (e *Env) backends(ctx context.Context, first, second *uint32) error {
	if err := e.conn.QueryRow(ctx, "select pg_backend_pid()").Scan(first); err != nil {
		return err
	}
	*second = *first
	return e.get(ctx, []any{second}, "select pg_backend_pid()")
}
