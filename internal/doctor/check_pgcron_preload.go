package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/pgcron/catalog"
)

// pgcronPreloadCheck: an extension without its launcher keeps jobs that nobody starts.
func pgcronPreloadCheck() Check {
	return Check{ID: "pgcron-preload", Title: "pg_cron, where it has a job, is loaded", Needs: []string{"pipeline"}, Run: func(ctx context.Context, env *Env) Finding {
		if err := env.readCron(ctx); err != nil {
			return env.unknown(err)
		}
		cron := env.cron
		var f Finding
		switch {
		case len(cron.Jobs) == 0:
			return well("pg_cron has no job here that rolls up")
		case cron.Preload == catalog.NotLoaded:
			f = warning(env.sql(cron.Preloading()),
				"pg_cron is not loaded, so its job never runs: shared_preload_libraries does not list it")
		case cron.Launched() != "":
			return well("pg_cron works in database %s", cron.Launched())
		case cron.LauncherHidden:
			return well("pg_cron has a job here; its launcher is hidden from role %s", env.pipe.User)
		case cron.Preload == catalog.Loaded:
			return well("pg_cron is loaded and about to start")
		default: // Naming the libraries anew would drop those that we do not see.
			f = warning(env.sql(env.pipe.Membership("pg_read_all_settings")),
				"pg_cron does not run, so its job never does; whether it is loaded is hidden from role %s", env.pipe.User)
		}
		for _, j := range cron.Jobs {
			f = f.with("%s", jobLine(j))
		}
		if cron.Preload == catalog.NotLoaded {
			f = f.with("takes effect when PostgreSQL is restarted")
		}
		return f
	}}
}
