package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/pipeline"
)

// constraintCheck: without the unique keys, an upsert fails or counts a bucket twice.
func constraintCheck() Check {
	return Check{ID: "constraint", Title: "the unique keys are there", Needs: []string{"pipeline"}, Run: func(_ context.Context, env *Env) Finding {
		if f := env.refused(Finding{}, pipeline.Unkeyed); f.Verdict != "" {
			return f
		}
		missing := func(table, name string) Finding {
			return critical(env.sql(env.pipe.KeyStatement(table)),
				"constraint %s of %s is missing or of another form: the database's own function fails", name, table)
		}
		switch {
		case !env.pipe.UniqueHourly:
			return missing(pipeline.Hourly, "uq_task_usage_hourly_key")
		case !env.pipe.UniqueDirty:
			return missing(pipeline.Dirty, "uq_task_usage_hourly_dirty_key")
		}
		return well("the hourly table and the queue are unique by their seven columns")
	}}
}
