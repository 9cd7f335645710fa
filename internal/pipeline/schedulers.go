package pipeline

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// Scheduler is somebody else who rolls up this database.
type Scheduler struct {
	Kind     string     // "pg_cron" or "backend"
	Detail   string     // what it runs, in a few words
	Schedule string     // as it is written there; "" where it has none
	Active   bool       // switched on, or seen within the last hour
	LastRun  *time.Time // nil where it has none or may not be read
	LastOK   *bool      // how its last run ended; nil where that is not known
}

// readSchedulers lists what schedules the roll-up inside the database: jobs of
// pg_cron, and the backend's own scheduler (v0.3.17 on). What our role may not
// read is left out; doctor tells of missing rights.
func (p *Pipeline) readSchedulers(ctx context.Context, conn *pgx.Conn) error {
	for _, s := range []struct{ table, query string }{
		{"cron.job", "pgcron_jobs"},
		{"sys_cron_executions", "backend_runs"},
	} {
		var readable bool
		err := conn.QueryRow(ctx, "select coalesce(has_table_privilege(to_regclass($1), 'select'), false)", s.table).Scan(&readable)
		if pg.SQLState(err) == pg.StateInsufficientPrivilege {
			continue // the schema itself is closed to us
		}
		if err != nil {
			return err
		}
		if !readable {
			continue
		}
		settings := p.reads()
		settings.Filtered = s.table == "cron.job" // whose own policy shows a role its own jobs
		var list []Scheduler
		err = pg.InTx(ctx, conn, settings, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, query(s.query))
			if err != nil {
				return err
			}
			list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Scheduler])
			return err
		})
		if pg.SQLState(err) != "" {
			continue // a form of the table that we do not know
		}
		if err != nil {
			return err
		}
		p.Schedulers = append(p.Schedulers, list...)
	}
	return nil
}
