package scheduler

import (
	"context"
	"embed"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pgcron/catalog"
	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

var statements = sqltext.Embedded(sqlFiles)

func query(name string) string { return statements.Text(name, nil) }

// PgCron is the kind that package pgcron administers.
const PgCron = "pg_cron"

// Kinds returns the kinds there are.
func Kinds() []Kind {
	return []Kind{
		{Name: PgCron, Called: "pg_cron", Beside: "multica-rollup pgcron remove", Read: readPgCron},
		{Name: "backend", Beside: "nothing to do: it rolls up by itself", Read: readBackend},
	}
}

// Without returns the kinds but one.
func Without(kinds []Kind, name string) []Kind {
	return slices.DeleteFunc(slices.Clone(kinds), func(k Kind) bool { return k.Name == name })
}

// readPgCron lists the jobs of pg_cron that roll up this database.
func readPgCron(_ context.Context, from Source) ([]Scheduler, error) {
	var list []Scheduler
	for _, j := range from.Cron.For(from.Database) {
		s := Scheduler{
			Detail: j.Title() + " as " + j.User, InFull: j.String(), Schedule: j.Schedule,
			Active: j.Active && from.Cron.Runs(j.Kept), LastRun: j.Last, Stop: StopJob(j, from.Database),
		}
		if j.Status != "" {
			ok := j.Status == "succeeded"
			s.LastOK = &ok
		}
		list = append(list, s)
	}
	return list, nil
}

// StopJob is how a job of pg_cron for this database is ended: ours is the
// program's to remove, others are the administrator's.
func StopJob(j catalog.Job, database string) Stop {
	if j.Own(database) {
		return Stop{Command: "pgcron remove"}
	}
	return Stop{SQL: j.Unschedule(), Database: j.Kept}
}

// readBackend finds the scheduler of Multica's own backend (v0.3.17 on), which
// is active where it was seen within the last hour.
func readBackend(ctx context.Context, from Source) ([]Scheduler, error) {
	s := Scheduler{
		Detail: "Multica's own scheduler (sys_cron_executions)", InFull: "Multica's own scheduler (sys_cron_executions)",
		Stop: Stop{Setting: `run.standby_lag = "15m"`}, // it cannot be told to stop, so we step back
	}
	var last time.Time
	err := pg.InTx(ctx, from.Conn, from.Settings, func(tx pgx.Tx) error {
		var readable bool
		err := tx.QueryRow(ctx, "select coalesce(has_table_privilege(to_regclass('sys_cron_executions'), 'select'), false)").Scan(&readable)
		if err != nil || !readable {
			return err
		}
		return tx.QueryRow(ctx, query("backend_runs")).Scan(&s.Active, &last)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows), strings.HasPrefix(pg.SQLState(err), "42"): // a form of the table that we do not know
		return nil, nil
	case err != nil:
		return nil, err
	case last.IsZero():
		return nil, nil
	}
	s.LastRun = &last
	return []Scheduler{s}, nil
}
