package doctor

import (
	"context"
	"errors"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

// memoryCheck: what the agent remembers between runs can be read.
func memoryCheck() Check {
	return Check{ID: "memory", Title: "what is remembered between runs can be read", Needs: []string{"pipeline"}, ExplainedBy: []string{"state-dir"},
		Run: func(_ context.Context, env *Env) Finding {
			_, store, err := env.remembered()
			if damaged, isDamaged := errors.AsType[*state.DamagedError](err); isDamaged {
				return warning(env.command("verify --repair"), "%s", damaged.Error()).
					with("what was owed is forgotten; a recount finds it")
			}
			if err != nil {
				return env.unknown(err)
			}
			return well("in %s", store.Dir())
		}}
}

// backfillQuiet is how long an unfinished backfill may say nothing: its longest slice.
const backfillQuiet = 10 * time.Minute

// backfillCheck: an interrupted backfill goes on only when somebody starts it.
func backfillCheck() Check {
	return Check{ID: "backfill", Title: "no backfill was left unfinished", Needs: []string{"memory"}, ExplainedBy: []string{"lock", "guard"},
		Run: func(ctx context.Context, env *Env) Finding {
			place, err := env.store().LoadPlace()
			if err != nil {
				return env.unknown(err)
			}
			if place == nil {
				return well("none")
			}
			u, err := env.units(ctx)
			if err != nil {
				return env.unknown(err)
			}
			done := report.Count(place.Done) + " of " + report.Count(place.Total) + " usage rows"
			if u != nil && u.Backfill != nil && u.Backfill.Working() || env.Now().Sub(place.UpdatedAt) < backfillQuiet {
				return well("at work: %s", done)
			}
			fix := env.command("backfill")
			if u != nil && u.Backfill != nil {
				fix = Fix{Command: "systemctl start " + u.Backfill.Name}
			}
			return warning(fix, "a backfill was interrupted at %s after %s", report.Stamp(place.UpdatedAt), done).
				with("it goes on where it was, at %s", report.Stamp(place.Cursor))
		}}
}

// givenUpCheck: history that a partial backfill passed over is missing for good.
func givenUpCheck() Check {
	return Check{ID: "given-up", Title: "no history was given up", Needs: []string{"memory"}, ExplainedBy: []string{"watermark-epoch"}, Run: func(_ context.Context, env *Env) Finding {
		g := env.memory.GivenUp
		if g == nil {
			return well("none")
		}
		return warning(env.command("backfill --restart"), "%s usage rows before %s were given up and are in no bucket", report.Count(g.Events), report.Stamp(g.Before)).
			with("by backfill --force-partial at %s", report.Stamp(g.At))
	}}
}

// driftCheck: the last recount found differences that nobody mended.
func driftCheck() Check {
	return Check{ID: "drift", Title: "the last recount found no difference", Needs: []string{"memory"},
		ExplainedBy: []string{"triggers", "hourly-empty", "given-up", "watermark-epoch", "costs", "orphans"}, Run: func(_ context.Context, env *Env) Finding {
			d := env.memory.Drift
			if d == nil || d.Keys == 0 {
				return well("none known")
			}
			return warning(env.command("verify --repair"), "the recount of %s found %s wrong", report.Stamp(d.At), count(d.Keys, "hourly key", "hourly keys"))
		}}
}
