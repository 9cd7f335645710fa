package doctor

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/status"
)

// backfillCheck: an interrupted backfill goes on only when somebody starts it. One
// at work holds a lock in the state directory, which its end releases at once.
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
			done := report.Progress{Done: place.Done, Total: place.Total}.Of()
			held, heldErr := env.store().BackfillAtWork()
			if held {
				return well("at work: %s", done)
			}
			u, _ := env.units(ctx) // that systemd does not answer is told by the timer's check
			if u != nil && u.Backfill.Working() {
				return well("%s starts it: %s", u.Backfill.Name, done)
			}
			var elsewhere []status.Backfill
			err = env.read(ctx, func(tx pgx.Tx) (err error) {
				elsewhere, err = status.Backfills(ctx, tx)
				return err
			})
			switch {
			case err != nil:
				return env.unknown(err)
			case len(elsewhere) > 0:
				return well("one with another state directory is at work: %s", elsewhere[0])
			case heldErr != nil:
				return env.unknown(heldErr)
			}
			fix := env.command("backfill")
			if u != nil && u.Backfill != nil {
				fix = Fix{Command: "systemctl start " + u.Backfill.Name}
			}
			return warning(fix, "a backfill was interrupted at %s after %s", report.Stamp(place.UpdatedAt), done).
				with("it goes on where it was, at %s", report.Stamp(place.Cursor))
		}}
}
