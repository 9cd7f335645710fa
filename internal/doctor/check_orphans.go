package doctor

import "context"

// orphansCheck: the trigger that should queue a deleted agent's buckets finds the agent gone already.
func orphansCheck() Check {
	return Check{ID: "orphans", Title: "no buckets of deleted agents are left", Needs: []string{"pipeline"}, ExplainedBy: []string{"triggers"}, Run: func(ctx context.Context, env *Env) Finding {
		agents, err := env.list(ctx, query("orphans"))
		if err != nil {
			return env.unknown(err)
		}
		if len(agents) == 0 {
			return well("none")
		}
		f := warning(env.command("verify --repair"), "%s still in the dashboard", count(int64(len(agents)), "deleted agent's usage is", "deleted agents' usage is"))
		for i, a := range agents {
			if i == 3 {
				f = f.with("and %d more", len(agents)-i)
				break
			}
			f = f.with("agent %s", a)
		}
		return f
	}}
}
