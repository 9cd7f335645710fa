package doctor

import "context"

// activityCheck: an open transaction whose start cannot be seen may have begun long ago, so more is rolled up again
// when it has ended.
func activityCheck() Check {
	return Check{ID: "activity", Title: "other sessions' transactions can be seen", Needs: []string{"database"}, Run: func(ctx context.Context, env *Env) Finding {
		var sees, owns bool
		var hidden, untracked int64
		var role string
		if err := env.get(ctx, []any{&sees, &owns, &hidden, &untracked, &role}, query("activity")); err != nil {
			return env.unknown(err)
		}
		if untracked > 0 && (sees || hidden == 0) {
			return warning(env.sql("alter role "+quoteIdent(role)+" in database "+quoteIdent(env.pipe.Database)+" set track_activities = on"),
				"role %s has track_activities off: nobody sees when its transactions began, so an hour or more is rolled up again after each that lasts", role).
				with("%s now; the setting counts from their next connection on", count(untracked, "such session", "such sessions"))
		}
		if sees || owns && hidden == 0 {
			return well("nothing is hidden from role %s", env.pipe.User)
		}
		return warning(env.sql(env.pipe.Membership("pg_read_all_stats")),
			"role %s may not see when others' transactions began, so an hour or more is rolled up again after each that lasts", env.pipe.User).
			with("hidden now: %s", count(hidden, "session", "sessions"))
	}}
}
