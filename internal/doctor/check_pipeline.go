package doctor

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// pipelineCheck: tables, functions and the state row that migrations 101 and 102 bring.
func pipelineCheck() Check {
	return Check{ID: "pipeline", Title: "the hourly pipeline is complete", Needs: []string{"rows"}, Run: func(ctx context.Context, env *Env) Finding {
		if err := env.pipe.Multica(); err != nil {
			f := critical(Fix{Advice: problem.HintOf(err)}, "%s", err.Error())
			if env.pipe.Relations[pipeline.Hourly].Present() && env.pipe.Applied("102") {
				f = f.with("schema_migrations lists migration 102, so they were dropped after it, and Multica will not make them again")
				f.Fix = &Fix{Advice: "take the definitions of " + strings.Join(env.pipe.Missing(), ", ") +
					" from a fresh database of the same Multica release: pg_dump --schema-only"}
			}
			return f
		}
		_, err := env.state(ctx)
		if errors.Is(err, pgx.ErrNoRows) {
			return critical(env.sql("insert into task_usage_hourly_rollup_state (id) values (1)"),
				"the state row is missing: task_usage_hourly_rollup_state has no id = 1, so nothing can be rolled up")
		}
		if err != nil {
			return env.unknown(err)
		}
		return well("tables and functions are there, generation %s", env.pipe.Generation)
	}}
}
