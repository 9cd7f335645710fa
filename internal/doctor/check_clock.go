package doctor

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// clockCheck: everything is reckoned by the database's clock, so usage is safe;
// but entries of journals and databases then tell different times, and certificates expire.
func clockCheck() Check {
	return Check{ID: "clock", Title: "the clocks of host and database agree", Needs: []string{"database"}, Run: func(ctx context.Context, env *Env) Finding {
		var before, theirs, after time.Time
		err := env.read(ctx, func(tx pgx.Tx) error {
			before = env.Now() // the transaction has begun
			defer func() { after = env.Now() }()
			return tx.QueryRow(ctx, "select clock_timestamp()").Scan(&theirs)
		})
		if err != nil {
			return env.unknown(err)
		}
		skew := max(before.Sub(theirs), theirs.Sub(after), 0)
		if skew <= env.Limits.Skew {
			return well("they agree within %s", report.Duration(max(skew, after.Sub(before))))
		}
		return warning(Fix{Command: "timedatectl set-ntp true"}, "the clocks of this host and of the database differ by %s", report.Duration(skew)).
			with("host %s, database %s", report.Stamp(after), report.Stamp(theirs)).
			with("that is for the machine whose clock is wrong; the roll-up goes by the database's")
	}}
}
