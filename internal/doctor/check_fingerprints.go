package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/pipeline"
)

// fingerprintsCheck: the fast engine is used only where the functions it stands in for are known.
func fingerprintsCheck() Check {
	return Check{ID: "fingerprints", Title: "the database's functions are known", Needs: []string{"pipeline"}, Run: func(_ context.Context, env *Env) Finding {
		var others []string
		for _, name := range []string{pipeline.TickFunction, pipeline.PruneFunction} {
			if f := env.pipe.Functions[name]; f.Present() && f.Known == "" {
				others = append(others, name+"() has an unknown text, which changes nothing for us")
			}
		}
		if len(env.pipe.Unverified) == 0 || env.Config.Engine != "auto" && env.Config.Engine != "" {
			return well("the window function is that of %s", orDefault(env.pipe.Functions[pipeline.WindowFunction].Known, "an unknown release, and the engine is configured")).withAll(others)
		}
		return warning(Fix{Setting: `engine = "set"`},
			"a function of the pipeline is not known, so the database's own slow function is used").
			withAll(env.pipe.Unverified).withAll(others).
			with("before that, see that both count the same here: %s", env.command("verify --engines").Command)
	}}
}
