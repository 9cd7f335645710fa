package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// backfillCheck: an interrupted backfill goes on only when somebody starts it.
func backfillCheck() Check {
	return Check{ID: "backfill", Title: "no backfill was left unfinished", Needs: []string{"memory"}, ExplainedBy: []string{"lock", "guard"},
		Run: func(ctx context.Context, env *Env) Finding {
			place, err := env.store().LoadCheckpoint()
			if err != nil {
				return env.unknown(err)
			}
			if place == nil {
				return well("none")
			}
			u, _ := env.units(ctx) // that systemd does not answer is told by the timer's check
			done := report.Progress{Done: place.Done, Total: place.Total}.Of()
			if u != nil && u.Backfill != nil && u.Backfill.Working() || env.Now().Sub(place.UpdatedAt) < env.Limits.Quiet {
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
