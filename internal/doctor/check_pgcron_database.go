package doctor

import (
	"context"
	"fmt"
)

// pgcronDatabaseCheck: pg_cron reads the jobs of one database alone, and a job
// runs in the database that it names.
func pgcronDatabaseCheck() Check {
	return Check{ID: "pgcron-database", Title: "pg_cron's job works in this database", Needs: []string{"pipeline"}, ExplainedBy: []string{"pgcron-preload"},
		Run: func(ctx context.Context, env *Env) Finding {
			if err := env.readCron(ctx); err != nil {
				return env.unknown(err)
			}
			ours := env.pipe.Database
			for _, j := range env.cron.Jobs {
				switch {
				case j.Kept == ours && env.cron.Launched() != "" && env.cron.Launched() != ours:
					return warning(env.sql(fmt.Sprintf("alter system set cron.database_name = '%s'", ours)),
						"pg_cron works in database %s and does not see the job that is kept here", env.cron.Launched()).
						with("%s", jobLine(j)).with("takes effect when PostgreSQL is restarted")
				case j.Kept != ours && j.Astray(ours) && j.Active:
					return warning(Fix{SQL: fmt.Sprintf("select cron.alter_job(%d, database := '%s')", j.ID, ours), Database: j.Kept},
						"pg_cron runs the roll-up in database %s instead of %s, where it fails", j.Database, ours).
						with("%s", jobLine(j)).with("%s", j.Message)
				}
			}
			return well("no job works elsewhere")
		}}
}
