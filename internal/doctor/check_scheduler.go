package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

// schedulerCheck: on hosts without our timer, somebody else has to roll up.
func schedulerCheck() Check {
	return Check{ID: "scheduler", Title: "somebody schedules the roll-up", Needs: []string{"pipeline"},
		ExplainedBy: []string{"timer", "pgcron-preload", "pgcron-database", "pgcron-job", "last-error", "watermark-future"},
		Run: func(ctx context.Context, env *Env) Finding {
			u, err := env.units(ctx)
			if err != nil {
				return env.unknown(err)
			}
			if u != nil && u.Timer != nil {
				return well("the timer, of which its own check tells")
			}
			others := env.schedulers()
			if len(others) > 0 {
				return well("%s", others[0].what)
			}
			row, err := env.state(ctx)
			if err != nil {
				return env.unknown(err)
			}
			last := row.lastRun()
			if row.newest == nil || row.now.Sub(last) <= env.Limits.LastRun {
				return well("last run at %s", report.Stamp(last))
			}
			fix := env.command("pgcron install")
			if u != nil {
				fix = Fix{Command: "systemctl enable --now " + units.For(env.Instance).Timer}
			}
			return critical(fix, "nobody schedules the roll-up: no timer, no cron, no pg_cron; last run %s", report.Stamp(last))
		}}
}
