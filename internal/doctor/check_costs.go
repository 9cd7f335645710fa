package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/pipeline"
)

const (
	// costsWhole is up to how many hourly rows the whole table is looked through: some 0.3 s.
	costsWhole = 2_000_000
	// costsProbe is how many of the oldest rows are looked at beyond that.
	costsProbe = 20_000
)

// costsCheck: buckets from before v0.4.10 have no costs until they are recomputed.
func costsCheck() Check {
	return Check{ID: "costs", Title: "all buckets know their costs", Needs: []string{"pipeline"},
		ExplainedBy: []string{"guard", "watermark-epoch", "hourly-empty", "backfill"}, Run: func(ctx context.Context, env *Env) Finding {
			if !env.pipe.HasCosts() {
				return well("this release has none")
			}
			limit := costsProbe
			if env.pipe.Relations[pipeline.Hourly].Rows <= costsWhole {
				limit = costsWhole
			}
			var stale int64
			if err := env.get(ctx, []any{&stale}, query("costs"), limit); err != nil {
				return env.unknown(err)
			}
			if stale == 0 {
				return well("all recomputed since v0.4.10")
			}
			text := count(stale, "bucket was", "buckets were")
			if stale == costsFew {
				text = "at least " + text
			}
			return warning(env.command("backfill --restart"), "%s not recomputed since the cost columns came: their usage shows without a price", text).
				with("any that stay after it have no usage left: %s", env.command("verify --repair").Command)
		}}
}

// costsFew bounds the counting of stale buckets; it stands in costs.sql as well.
const costsFew = 1000
