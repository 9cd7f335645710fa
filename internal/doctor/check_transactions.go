package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// transactionsCheck: the roll-up waits for open transactions that write, up to walk.horizon_hold.
func transactionsCheck() Check {
	return Check{ID: "transactions", Title: "no transaction that writes usage stays open for long", Needs: []string{"pipeline"}, ExplainedBy: []string{"lock"},
		Run: func(ctx context.Context, env *Env) Finding {
			var pid int32
			var who, gid string
			var age, preparedAge float64
			if err := env.get(ctx, []any{&pid, &who, &age, &gid, &preparedAge}, query("transactions")); err != nil {
				return env.unknown(err)
			}
			limit := env.Limits.OpenTx
			seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
			switch {
			case gid != "" && seconds(preparedAge) >= limit:
				return warning(env.endPrepared(gid),
					"prepared transaction %q has been open for %s and holds the roll-up back", gid, report.Duration(seconds(preparedAge)))
			case pid != 0 && seconds(age) >= limit:
				return warning(env.sql(fmt.Sprintf("select pg_terminate_backend(%d)", pid)),
					"a transaction that writes to Multica's tables has been open for %s; the roll-up waits for what it may still commit", report.Duration(seconds(age))).
					with("pid %d (%s)", pid, who).
					with("it is waited for up to walk.horizon_hold; after that its usage is rolled up when it has ended")
			}
			return well("none is older than %s; those that only read are not waited for", report.Duration(limit))
		}}
}

// endPrepared is how to end a prepared transaction: whoever prepared it knows which of the two.
func (e *Env) endPrepared(gid string) Fix {
	end := func(how string) string {
		fix := e.sql(how + " prepared " + pg.Literal(gid))
		return fix.String()
	}
	return Fix{Advice: end("commit") + ", or " + end("rollback")}
}
