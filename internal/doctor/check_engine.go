package doctor

import "context"

// engineCheck: columns and keys that the fast engine needs.
func engineCheck() Check {
	return Check{ID: "engine", Title: "the fast engine can be used", Needs: []string{"pipeline"}, ExplainedBy: []string{"constraint", "fingerprints"},
		Run: func(_ context.Context, env *Env) Finding {
			if env.Config.Engine == "function" {
				return well("the database's own function is configured")
			}
			if len(env.pipe.Obstacles) == 0 {
				return well("engine set")
			}
			fix := Fix{Advice: "upgrade multica-rollup to a release that knows this one of Multica's; until then it works with the database's own function"}
			switch {
			case !env.pipe.Indexes["updated_at"]:
				fix = env.sql("create index concurrently on task_usage (updated_at)")
			case !env.pipe.Indexes["created_at"]:
				fix = env.sql("create index concurrently on task_usage (created_at)")
			case !env.pipe.UniqueUsage:
				fix = env.sql("alter table task_usage add unique (task_id, provider, model)")
			}
			return warning(fix, "the database's own function is used, whose cost grows with history: %s", env.pipe.Obstacles[0]).withAll(env.pipe.Obstacles[1:])
		}}
}
