package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// cronState is what there is of pg_cron.
type cronState struct {
	read     bool
	launched string    // the database its launcher works in; "" where none runs or it is hidden
	hidden   bool      // whether a launcher runs cannot be seen
	jobs     []cronJob // those that roll up, wherever they are kept
}

// cronJob is a job of pg_cron.
type cronJob struct {
	ID             int64
	Name, Schedule string
	Database, User string
	Active         bool
	Last           *time.Time // start of its last run; nil where it has none or may not be read
	Status         string     // of its last run
	Message        string
	kept           string // the database whose cron.job holds it
}

func (j cronJob) String() string {
	s := fmt.Sprintf("job %d", j.ID)
	if j.Name != "" {
		s += fmt.Sprintf(" %q", j.Name)
	}
	s += fmt.Sprintf(" (%s) in database %s as %s", j.Schedule, j.Database, j.User)
	if j.Last != nil {
		s += ", last at " + report.Stamp(*j.Last)
	}
	return s
}

// runs says whether the launcher reads the table that keeps the job.
func (s cronState) runs(j cronJob) bool { return s.hidden || s.launched == j.kept }

// ownJob is the name of the job that pgcron install makes; with several Multica
// databases on a server, the database's follows.
const ownJob = "multica-rollup"

// removeJob is how to end a job: ours is the program's to remove, others are the administrator's.
func (e *Env) removeJob(j cronJob) Fix {
	if j.Name == ownJob || j.Name == ownJob+"-"+e.pipe.Database {
		return e.command("pgcron remove")
	}
	return Fix{SQL: fmt.Sprintf("select cron.unschedule(%d)", j.ID), Database: j.kept}
}

// readCron finds pg_cron's launcher and the jobs that roll up: in our database,
// and in that where the launcher works.
func (e *Env) readCron(ctx context.Context) error {
	if e.cron.read {
		return nil
	}
	s := cronState{}
	if err := e.get(ctx, []any{&s.launched, &s.hidden}, query("cron_launcher")); err != nil {
		return err
	}
	jobs, err := cronJobs(ctx, e.conn, e.pipe.Database)
	if err != nil {
		return err
	}
	s.jobs = jobs
	if s.launched != "" && s.launched != e.pipe.Database {
		// Where we may not look there is nothing to tell: another login sees it.
		_ = e.elsewhere(ctx, s.launched, func(q pg.Querier) error {
			jobs, err := cronJobs(ctx, q, s.launched)
			s.jobs = append(s.jobs, jobs...)
			return err
		})
	}
	s.read = true
	e.cron = s
	return nil
}

// cronJobs lists the jobs that one database's cron.job keeps, as far as row security shows them.
func cronJobs(ctx context.Context, q pg.Querier, database string) ([]cronJob, error) {
	var readable bool
	err := q.QueryRow(ctx, query("cron_readable")).Scan(&readable)
	if err != nil || !readable {
		return nil, err
	}
	rows, err := q.Query(ctx, query("cron_jobs"))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (cronJob, error) {
		j := cronJob{kept: database}
		return j, r.Scan(&j.ID, &j.Name, &j.Schedule, &j.Database, &j.User, &j.Active, &j.Last, &j.Status, &j.Message)
	})
}
