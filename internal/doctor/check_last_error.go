package doctor

import (
	"context"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// lastErrorCheck: the last run failed and said why, in the database or in our own memory.
func lastErrorCheck() Check {
	return Check{ID: "last-error", Title: "the last run had no error", Needs: []string{"pipeline"}, ExplainedBy: []string{"standby", "constraint", "lock", "watermark-future", "state-dir"},
		Run: func(ctx context.Context, env *Env) Finding {
			row, err := env.state(ctx)
			if err != nil {
				return env.unknown(err)
			}
			if row.lastError != "" {
				return critical(env.runAgain(ctx), "the last run failed: %s", strings.TrimPrefix(row.lastError, "multica-rollup: ")).
					with("at %s", report.Stamp(row.lastRun()))
			}
			// A run that lost the database could not tell it.
			m, _, err := env.remembered(ctx)
			if err == nil && m.Run != nil && !m.Run.OK && m.Run.Finished.After(row.lastRun()) {
				return critical(env.runAgain(ctx), "the last run failed: %s", m.Run.Error).with("at %s", report.Stamp(m.Run.Finished))
			}
			return well("last run at %s", report.Stamp(row.lastRun()))
		}}
}

// runAgain is the service's next run where it was its last that failed: systemd
// calls it failed until then. Else it is a run by hand.
func (e *Env) runAgain(ctx context.Context) Fix {
	if u, _ := e.units(ctx); u != nil && u.Service.Failed() {
		return Fix{Command: "systemctl start " + u.Service.Name}
	}
	return e.command("run")
}
