package doctor

import "context"

// duplicatesCheck: two schedulers do no harm to the numbers, but the database's own
// function does the same work again, slowly, and holds lock 4246 meanwhile.
func duplicatesCheck() Check {
	return Check{ID: "duplicates", Title: "one scheduler alone rolls up", Needs: []string{"pipeline"}, Run: func(ctx context.Context, env *Env) Finding {
		others, err := env.schedulers(ctx)
		if err != nil {
			return env.unknown(err)
		}
		timer := env.timerActive(ctx)
		n := len(others)
		if timer {
			n++
		}
		switch {
		case n < 2:
			return well("no more than one")
		case timer && env.Config.Run.StandbyLag > 0:
			return well("the timer stands by for %s", others[0].what)
		}
		f := warning(others[0].stop, "%d schedulers roll up this database", n)
		if timer {
			f = f.with("the timer")
		}
		for _, o := range others {
			f = f.with("%s", o.what)
		}
		return f
	}}
}
