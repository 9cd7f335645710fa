package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// watermarkFutureCheck: nothing is rolled up until the clock has come there.
func watermarkFutureCheck() Check {
	return Check{ID: "watermark-future", Title: "the watermark is not in the future", Needs: []string{"pipeline"}, Run: func(ctx context.Context, env *Env) Finding {
		row, err := env.state(ctx)
		if err != nil {
			return env.unknown(err)
		}
		if !row.watermark.After(row.now) {
			return well("%s", report.Stamp(row.watermark))
		}
		return critical(env.command("run"), "the watermark lies %s in the future: new usage is not rolled up until then", report.Duration(row.watermark.Sub(row.now))).
			with("watermark %s, database's clock %s", report.Stamp(row.watermark), report.Stamp(row.now)).
			with("run takes it back to the last point known to be true, and rolls up what lies between")
	}}
}
