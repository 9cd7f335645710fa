package doctor

import (
	"context"
	"slices"
	"strings"
)

// pgcronPreloadCheck: an extension without its launcher keeps jobs that nobody starts.
func pgcronPreloadCheck() Check {
	return Check{ID: "pgcron-preload", Title: "pg_cron, where it has a job, is loaded", Needs: []string{"pipeline"}, Run: func(ctx context.Context, env *Env) Finding {
		if err := env.readCron(ctx); err != nil {
			return env.unknown(err)
		}
		switch {
		case len(env.cron.jobs) == 0:
			return well("pg_cron has no job here that rolls up")
		case env.cron.launched != "":
			return well("pg_cron works in database %s", env.cron.launched)
		case env.cron.hidden:
			return well("pg_cron has a job here; its launcher is hidden from role %s", env.pipe.User)
		}
		var libraries string
		if err := env.get(ctx, []any{&libraries}, "select coalesce((select setting from pg_settings where name = 'shared_preload_libraries'), '')"); err != nil {
			return env.unknown(err)
		}
		if slices.Contains(strings.FieldsFunc(libraries, func(r rune) bool { return r == ',' || r == ' ' || r == '"' }), "pg_cron") {
			return well("pg_cron is loaded and about to start")
		}
		list := "pg_cron"
		if libraries != "" {
			list = libraries + ",pg_cron"
		}
		f := warning(env.sql("alter system set shared_preload_libraries = "+list),
			"pg_cron is not loaded, so its job never runs: shared_preload_libraries does not list it")
		for _, j := range env.cron.jobs {
			f = f.with("%s", j)
		}
		return f.with("takes effect when PostgreSQL is restarted")
	}}
}
