package doctor

import "context"

// orphansCheck says how many deleted agents have hourly rows. It is information: Multica keeps those
// rows, so that a month's total does not shrink when an agent goes, and nothing of ours removes them.
func orphansCheck() Check {
	return Check{ID: "orphans", Title: "usage of deleted agents is kept", Needs: []string{"pipeline"}, Run: func(ctx context.Context, env *Env) Finding {
		agents, err := env.list(ctx, query("orphans"))
		if err != nil {
			return env.unknown(err)
		}
		n := int64(len(agents))
		switch {
		case n == 0:
			return well("there is none")
		case n == orphansBound:
			return well("the hourly rows of %d deleted agents or more are kept", n)
		}
		return well("the hourly rows of %s are kept", count(n, "deleted agent", "deleted agents"))
	}}
}

// orphansBound is how far orphans.sql counts.
const orphansBound = 1000
