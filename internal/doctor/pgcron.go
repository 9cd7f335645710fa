package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/pgcron/catalog"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
)

// readCron finds out what there is of pg_cron, once. Where we may not look for
// its jobs there is nothing to report: another login sees them.
func (e *Env) readCron(ctx context.Context) error {
	if e.cron != nil {
		return nil
	}
	s, err := catalog.Read(ctx, e.conn, e.Connector, e.settings())
	if err != nil {
		return err
	}
	e.cron = &s
	return nil
}

// jobLine describes a job with its last run.
func jobLine(j catalog.Job) string {
	if j.Last == nil {
		return j.String()
	}
	return j.String() + ", last at " + report.Stamp(*j.Last)
}

// end is the fix that ends another scheduler, or has us step back from it.
func (e *Env) end(s scheduler.Stop) Fix {
	if s.Command != "" {
		return e.command(s.Command)
	}
	return Fix{SQL: s.SQL, Database: s.Database, Setting: s.Setting}
}
