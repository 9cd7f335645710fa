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
			others, err := env.schedulers(ctx)
			if err != nil {
				return env.unknown(err)
			}
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
			f := critical(env.schedule(), "nobody schedules the roll-up: no timer, no cron, no job of pg_cron; last run %s", report.Stamp(last))
			switch {
			case u != nil:
				f = f.with("%s, which the package brings, is not installed on this host", units.For(env.Instance).Timer)
			case env.Units == nil && env.Config.Path != "":
				f = f.with("no unit reads %s; of /etc/multica/rollup.d/NAME.toml there is multica-rollup@NAME.timer", env.Config.Path)
			default:
				f = f.with("there is no systemd here; in a container the program schedules itself by --every, on Kubernetes a CronJob starts it")
			}
			return f
		}}
}

// schedule is how to have the roll-up scheduled where there is no timer to
// enable: by a pg_cron that works, else by this program, as in a container.
func (e *Env) schedule() Fix {
	if e.cron != nil && e.cron.Launched() != "" {
		return e.command("pgcron install")
	}
	return e.command("run --every 5m")
}
