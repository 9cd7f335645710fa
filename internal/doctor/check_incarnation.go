package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// incarnationCheck: what is remembered was learned in this life of the database. A restore brings an earlier state back
// under the same name.
func incarnationCheck() Check {
	return Check{ID: "incarnation", Title: "the database is the one that is remembered", Needs: []string{"memory"}, Run: func(_ context.Context, env *Env) Finding {
		if env.another != "" {
			return warning(env.command("run"), "the database was restored, rolled back or made anew: the next run sets aside what was remembered").with("%s", env.another)
		}
		f := well("nothing is remembered yet")
		if i := env.memory.Incarnation; i != nil {
			f = well("its server runs since %s", report.Stamp(i.Server))
			if i.Flushed == 0 {
				f = f.with("our role may not read where the write-ahead log stands: each restart of the server is taken for a restore where no hourly row of ours is found again")
			}
		}
		for _, n := range env.memory.Notices {
			f = f.with("%s %s: %s", report.Stamp(n.At), n.Kind, n.Text)
		}
		return f
	}}
}
