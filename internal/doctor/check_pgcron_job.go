package doctor

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pgcron/catalog"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
)

var deniedTable = regexp.MustCompile(`permission denied for (?:table|relation) `)

// pgcronJobCheck: a job that is switched off, that fails each time, or that may do more than the tables' owner,
// whose functions it calls.
func pgcronJobCheck() Check {
	return Check{ID: "pgcron-job", Title: "pg_cron's job is active and succeeds", Needs: []string{"pipeline"}, ExplainedBy: []string{"pgcron-preload", "pgcron-database"},
		Run: func(ctx context.Context, env *Env) Finding {
			if err := env.readCron(ctx); err != nil {
				return env.unknown(err)
			}
			for _, j := range env.cron.For(env.pipe.Database) {
				switch {
				case !j.Active:
					others, err := env.schedulers(ctx)
					if err != nil {
						return env.unknown(err)
					}
					if !env.timerActive(ctx) && len(others) == 0 {
						return warning(Fix{SQL: fmt.Sprintf("select cron.alter_job(%d, active := true)", j.ID), Database: j.Kept},
							"pg_cron's job is switched off, and nobody else rolls up").with("%s", jobLine(j))
					}
				case j.Status == "failed":
					f := warning(env.cronJobFix(j), "pg_cron's job fails: %s", j.Message).with("%s", jobLine(j))
					if f.Fix.SQL == useWorkers {
						f = f.with("takes effect when PostgreSQL is restarted")
					}
					return f
				case j.Super:
					var super bool
					if err := env.get(ctx, []any{&super}, query("owner_super"), env.pipe.Owner()); err != nil {
						return env.unknown(err)
					}
					if owner := env.pipe.Owner(); !super && owner != "" {
						return warning(Fix{SQL: fmt.Sprintf("select cron.alter_job(%d, username := %s)", j.ID, pg.Literal(owner)), Database: j.Kept},
							"pg_cron's job runs as superuser %s, and calls functions that the tables' owner %s may change", j.User, owner).with("%s", jobLine(j))
					}
				}
			}
			if len(env.cron.Jobs) == 0 && env.cron.Launched() != "" {
				return well("role %s sees no job that rolls up; pg_cron shows each role its own alone", env.pipe.User)
			}
			return well("%s", count(int64(len(env.cron.Jobs)), "job", "jobs"))
		}}
}

// useWorkers has pg_cron start jobs without a connection, which pg_hba.conf may refuse.
const useWorkers = "alter system set cron.use_background_workers = on"

func (e *Env) cronJobFix(j catalog.Job) Fix {
	if deniedTable.MatchString(j.Message) {
		// All that the function uses, in one: else each run would name the next table.
		role := quoteIdent(j.User)
		grants := "grant select on task_usage to " + role
		for _, table := range []string{pipeline.Tasks, pipeline.Agents, pipeline.Issues} {
			grants += "; grant select (" + strings.Join(pipeline.Needed(table), ", ") + ") on " + table + " to " + role
		}
		return e.sql(grants + "; grant select, insert, update, delete on task_usage_hourly, task_usage_hourly_dirty, task_usage_hourly_rollup_state to " + role)
	}
	if strings.Contains(j.Message, "connection failed") {
		return Fix{SQL: useWorkers, Database: j.Kept}
	}
	// Our own timer does what the job cannot.
	return e.end(scheduler.StopJob(j, e.pipe.Database))
}
