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
			for _, j := range env.cron.jobs {
				switch {
				case j.kept == ours && env.cron.launched != "" && env.cron.launched != ours:
					return warning(env.sql(fmt.Sprintf("alter system set cron.database_name = '%s'", ours)),
						"pg_cron works in database %s and does not see the job that is kept here", env.cron.launched).
						with("%s", j).with("takes effect when PostgreSQL is restarted")
				case j.kept != ours && j.Database == j.kept && j.Active && j.Status == "failed":
					// A job of another Multica database on the same server succeeds there.
					return warning(Fix{SQL: fmt.Sprintf("select cron.alter_job(%d, database := '%s')", j.ID, ours), Database: j.kept},
						"pg_cron runs the roll-up in database %s instead of %s, where it fails", j.Database, ours).
						with("%s", j).with("%s", j.Message)
				}
			}
			return well("no job works elsewhere")
		}}
}
