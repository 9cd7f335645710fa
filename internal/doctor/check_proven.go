package doctor

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/status"
)

// provenCheck: every hour was reconciled with raw usage by this agent, in this life of the database.
func provenCheck() Check {
	return Check{ID: "proven", Title: "history is proven", Needs: []string{"memory"},
		ExplainedBy: []string{"memory", "incarnation", "timer", "scheduler", "watermark-epoch", "watermark-moved", "hourly-empty", "guard", "given-up", "backfill", "drift", "engine"},
		Run: func(ctx context.Context, env *Env) Finding {
			var unproven *report.Unproven
			err := env.read(ctx, func(tx pgx.Tx) (err error) {
				unproven, err = status.ReadUnproven(ctx, tx, env.memory)
				return err
			})
			if err != nil {
				return env.unknown(err)
			}
			if unproven == nil {
				return well("the oldest proof is of %s", report.Stamp(env.memory.Proven.Oldest()))
			}
			f := warning(env.command("backfill"), "%s", unproven.Text())
			for _, r := range unproven.Ranges {
				f = f.with("%s", hoursOf(r))
			}
			return f
		}}
}

// hoursOf names a stretch of bucket hours.
func hoursOf(r ledger.Range) string {
	switch {
	case r.From.IsZero() && r.To.IsZero():
		return "all hours"
	case r.From.IsZero():
		return "all hours before " + report.Stamp(r.To)
	case r.To.IsZero():
		return "all hours from " + report.Stamp(r.From) + " on"
	}
	return "the hours from " + report.Stamp(r.From) + " to " + report.Stamp(r.To)
}
