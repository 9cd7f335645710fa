package doctor

import "context"

// activityCheck: an open transaction whose start is hidden may commit usage behind the watermark.
func activityCheck() Check {
	return Check{ID: "activity", Title: "other sessions' transactions can be seen", Needs: []string{"database"}, Run: func(ctx context.Context, env *Env) Finding {
		var sees, owns bool
		var hidden int64
		if err := env.get(ctx, []any{&sees, &owns, &hidden}, query("activity")); err != nil {
			return env.unknown(err)
		}
		if sees || owns && hidden == 0 {
			return well("nothing is hidden from role %s", env.pipe.User)
		}
		return warning(env.sql("grant pg_read_all_stats to "+quoteIdent(env.pipe.User)),
			"role %s may not see when others' transactions began, so usage that they commit late can be missed", env.pipe.User).
			with("hidden now: %s", count(hidden, "session", "sessions"))
	}}
}
