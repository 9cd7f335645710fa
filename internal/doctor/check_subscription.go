package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// subscriptionCheck: a subscriber's rows arrive with the origin's times, behind the
// watermark, and fire no trigger. No slice of ours can know of them.
func subscriptionCheck() Check {
	return Check{ID: "subscription", Title: "no table of the pipeline is fed by a logical subscription", Needs: []string{"pipeline"},
		Run: func(_ context.Context, env *Env) Finding {
			if len(env.pipe.Subscriptions) == 0 {
				return well("none")
			}
			drop := "drop subscription " + pg.Quote(env.pipe.Subscriptions[0].Name)
			f := warning(Fix{Advice: "name the publisher, where this usage is written, in the DSN; once this server has taken over from it: " + drop +
				", then: " + env.command("verify --repair").Command}, "%s", env.pipe.Subscribed()).
				with("its rows carry the times of their origin: what arrives more than five minutes later is behind the watermark, and not rolled up").
				with("no trigger fires for them: usage that was moved or deleted stays in its old buckets")
			for _, s := range env.pipe.Subscriptions {
				if !s.Enabled {
					f = f.with("%s is disabled, and would go on where it was once it is enabled", pg.Quote(s.Name))
					break
				}
			}
			return f
		}}
}
