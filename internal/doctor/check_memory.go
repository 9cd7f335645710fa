package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/state"
)

// memoryCheck: what the agent remembers between runs can be read.
func memoryCheck() Check {
	return Check{ID: "memory", Title: "what is remembered between runs can be read", Needs: []string{"pipeline"}, ExplainedBy: []string{"state-dir"},
		Run: func(ctx context.Context, env *Env) Finding {
			_, store, err := env.remembered(ctx)
			if state.Unusable(err) {
				return warning(env.command("backfill"), "%s", err.Error()).
					with("what was deferred is forgotten and nothing is proven; a backfill compares all of it")
			}
			if err != nil {
				return env.unknown(err)
			}
			return well("in %s", store.Dir())
		}}
}
