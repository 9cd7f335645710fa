package doctor

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// lockCheck: who holds lock 4246 keeps every roll-up waiting, and everybody who deletes a workspace.
func lockCheck() Check {
	return Check{ID: "lock", Title: "lock 4246 is free or at work", Needs: []string{"pipeline"}, Run: func(ctx context.Context, env *Env) Finding {
		row, err := env.state(ctx)
		if err != nil {
			return env.unknown(err)
		}
		var sessions []pg.LockSession
		err = env.read(ctx, func(tx pgx.Tx) (err error) {
			sessions, err = pg.LockSessions(ctx, tx)
			return err
		})
		if err != nil {
			return env.unknown(err)
		}
		var f *Finding
		var waiting int64
		for _, s := range sessions {
			held := row.now.Sub(s.Since)
			idle := s.State == "idle" || s.State == "idle in transaction" || s.State == "idle in transaction (aborted)"
			switch {
			case !s.Granted:
				waiting++
			case s.Since.IsZero() || f != nil:
			case idle && held >= env.Limits.IdleLock:
				found := critical(env.sql(fmt.Sprintf("select pg_terminate_backend(%d)", s.PID)),
					"a session that does nothing has held lock 4246 for %s: nobody can roll up, and deleting a workspace fails", report.Duration(held)).with("%s", s)
				if s.State == "idle" {
					found = found.with("a tick that is cancelled on a pooled session leaves the lock behind (before Multica v0.4.23)")
				}
				f = &found
			case held >= env.Limits.BusyLock && env.pipe.Legacy:
				found := warning(Fix{Advice: "stop Multica's backend, then " + env.command("guard --fix").Command}, "lock 4246 has been held for %s by a session at work, probably the backfill of Multica's own migration", report.Duration(held)).
					with("%s", s).with("stopping Multica's backend is safe: its backfill begins anew, ours goes on from the watermark")
				f = &found
			case held >= env.Limits.BusyLock:
				found := warning(env.sql(fmt.Sprintf("select pg_terminate_backend(%d)", s.PID)),
					"lock 4246 has been held for %s by a session at work", report.Duration(held)).with("%s", s)
				f = &found
			}
		}
		if f == nil {
			return well("%s", map[bool]string{true: "free", false: "in use for a moment"}[len(sessions) == 0])
		}
		if waiting > 0 {
			*f = f.with("waiting for it: %s", count(waiting, "session", "sessions"))
		}
		return *f
	}}
}
