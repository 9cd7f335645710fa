package pgcron

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pgcron/catalog"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// farBehind is the lag beyond which the job alone takes long to catch up: the
// database's function moves the watermark by one day a run at the most.
const farBehind = 25 * time.Hour

// Change is what install or remove did.
type Change struct {
	SchemaVersion int          `json:"schema_version"`
	Done          []string     `json:"done"` // in the past tense; empty where nothing had to be done
	Job           *catalog.Job `json:"job"`  // ours, as it is now; null where there is none
	Notes         []string     `json:"notes,omitempty"`
}

// Install sees to it that one job rolls up the database every five minutes. It
// refuses to leave a second scheduler beside it unless told to. Its errors are
// problems that say what the administrator has to do.
func (a *Admin) Install(ctx context.Context, allowSecond bool) (*Change, error) {
	conns, s, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	defer conns.close(ctx)
	change := &Change{SchemaVersion: SchemaVersion, Done: []string{}}
	if err := s.ready(); err != nil {
		return nil, err
	}
	if !allowSecond {
		if err := s.alone(); err != nil {
			return nil, err
		}
	}
	if s.Version == "" {
		if err := a.createExtension(ctx, conns, s, change); err != nil {
			return nil, err
		}
		if !allowSecond {
			if err := s.alone(); err != nil {
				return nil, err
			}
		}
	}
	if err := s.allowed(); err != nil {
		return nil, err
	}
	if s.settled() {
		change.Job = s.Job
	} else if err := s.bounded(); err != nil {
		return nil, err
	} else if err := s.seen(allowSecond); err != nil {
		return nil, err
	} else if err := a.schedule(ctx, conns.cron, s, change); err != nil {
		return nil, a.connector.Explain(err)
	}
	s.Job = change.Job
	change.Notes = s.notes()
	return change, nil
}

// Remove removes the jobs that roll up this database and do nothing else,
// whatever they are called. Others are left, and named.
func (a *Admin) Remove(ctx context.Context) (*Change, error) {
	conns, s, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	defer conns.close(ctx)
	change := &Change{SchemaVersion: SchemaVersion, Done: []string{}}
	if s.Version != "" && !s.Readable {
		return nil, s.closed()
	}
	ours := s.Others
	if s.Job != nil {
		ours = append([]catalog.Job{*s.Job}, ours...)
	}
	left := s.Astray
	for _, j := range ours {
		if !j.Plain() {
			left = append(left, j)
			continue
		}
		if err := a.unschedule(ctx, conns.cron, j); err != nil {
			return nil, err
		}
		change.Done = append(change.Done, fmt.Sprintf("removed %s", j))
	}
	for _, j := range left {
		change.Notes = append(change.Notes, fmt.Sprintf("%s is left; to remove it, in database %s: %s", j, s.CronDatabase, j.Unschedule()))
	}
	for _, j := range s.Kept {
		if s.Preload != catalog.NotLoaded && j.Plain() {
			if err := a.unschedule(ctx, conns.ours, j); err != nil {
				return nil, err
			}
			change.Done = append(change.Done, fmt.Sprintf("removed %s, which nothing ran", j))
			continue
		}
		// Without its library pg_cron's own functions cannot be called.
		change.Notes = append(change.Notes, fmt.Sprintf("%s is left, and nothing runs it; to forget it, as a superuser in database %s: drop extension pg_cron", j, s.Database))
	}
	if !s.SeesAll && s.Version != "" && !s.extension.Empty {
		change.Notes = append(change.Notes, fmt.Sprintf("pg_cron shows role %s its own jobs alone; to see others', as a superuser in database %s: %s", s.User, s.CronDatabase, lookFor(s.Database)))
	} else if len(change.Done) > 0 && len(left) == 0 && len(s.Second) == 0 {
		change.Notes = append(change.Notes, "nothing schedules the roll-up now; to have this host do it: systemctl enable --now multica-rollup.timer")
	}
	return change, nil
}

// write runs one statement in a transaction of its own.
func write(ctx context.Context, conn *pgx.Conn, sql string, args ...any) error {
	return pg.InTx(ctx, conn, settings(), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
}

func (a *Admin) unschedule(ctx context.Context, conn *pgx.Conn, j catalog.Job) error {
	err := write(ctx, conn, query("unschedule"), j.ID)
	if pg.SQLState(err) == pg.StateInsufficientPrivilege {
		return problem.Wrap(err, problem.Permission, fmt.Sprintf("as role %s or a superuser: %s", j.User, j.Unschedule()), "%s may not be removed by role %s", j, a.connector.User())
	}
	if err != nil {
		return a.connector.Explain(fmt.Errorf("removing %s: %w", j, err))
	}
	return nil
}

// ready refuses where the server has to be configured first.
func (s *Status) ready() error {
	const again = "restart PostgreSQL, then: multica-rollup pgcron install"
	if !s.Available && s.Version == "" && s.Preload != catalog.Hidden {
		return problem.New(problem.Config,
			fmt.Sprintf("on the database's host: apt install postgresql-%d-cron (or your system's package of it); then: multica-rollup pgcron install", s.server.Major),
			"pg_cron is not installed on the server of %s", s.Target)
	}
	switch {
	case s.Preload == catalog.NotLoaded:
		return problem.New(problem.Config,
			fmt.Sprintf("have the administrator put these lines into postgresql.conf: shared_preload_libraries = '%s' and cron.database_name = '%s' and cron.use_background_workers = on; %s", strings.Join(s.server.WithLibrary(), ","), s.Database, again),
			"pg_cron is not loaded: shared_preload_libraries is %q", s.Libraries)
	case s.CronDatabase == "":
		return problem.New(problem.Permission,
			pg.Membership("pg_read_all_settings", s.User, s.server.Major, s.server.Inherits)+"; -- in psql, as a superuser",
			"role %s may not see whether pg_cron is loaded and in which database it works, and finds no extension pg_cron in %s or postgres", s.User, s.Database)
	case s.Unreachable != "":
		return problem.New(problem.Permission,
			fmt.Sprintf("let role %s connect to database %s, or have the administrator set cron.database_name = '%s' and %s", s.User, s.CronDatabase, s.Database, again),
			"pg_cron works in database %s, which cannot be reached: %s", s.CronDatabase, s.Unreachable)
	}
	return nil
}

// alone refuses where somebody else rolls up already.
func (s *Status) alone() error {
	for _, o := range s.Second {
		return problem.New(problem.Failed, o.Stop+"; or, to have both: multica-rollup pgcron install --allow-second",
			"another scheduler rolls up this database: %s", o.What)
	}
	for _, j := range s.Others {
		if j.Active {
			return problem.New(problem.Failed,
				fmt.Sprintf("in database %s: %s; or, to have both: multica-rollup pgcron install --allow-second", s.CronDatabase, j.Unschedule()),
				"another job of pg_cron rolls up this database: %s", j)
		}
	}
	return nil
}

// createExtension creates pg_cron's extension, which takes a superuser.
func (a *Admin) createExtension(ctx context.Context, c *connections, s *Status, change *Change) error {
	err := write(ctx, c.cron, "create extension if not exists pg_cron")
	if pg.SQLState(err) == pg.StateInsufficientPrivilege {
		return problem.Wrap(err, problem.Permission,
			fmt.Sprintf("as a superuser, in database %s: create extension pg_cron; %s", s.CronDatabase, s.grants()),
			"the extension pg_cron is not created in database %s, and role %s may not do so", s.CronDatabase, s.User)
	}
	if err != nil {
		return a.connector.Explain(fmt.Errorf("creating the extension pg_cron in database %s: %w", s.CronDatabase, err))
	}
	change.Done = append(change.Done, "created the extension pg_cron in database "+s.CronDatabase)
	if err = s.readExtension(ctx, c.cron); err == nil {
		err = read(ctx, c.cron, func(q pg.Querier) error { return s.readJobs(ctx, q) })
	}
	if err != nil {
		return a.connector.Explain(err)
	}
	return nil
}

// allowed refuses where our role may not schedule.
func (s *Status) allowed() error {
	if !s.Readable {
		return s.closed()
	}
	if s.CronDatabase == s.Database && !s.extension.Schedules || s.CronDatabase != s.Database && !s.extension.Reschedules {
		return problem.New(problem.Permission, fmt.Sprintf("as a superuser, in database %s: %s", s.CronDatabase, s.grants()),
			"role %s may not schedule a job of pg_cron for database %s", s.User, s.Database)
	}
	return nil
}

func (s *Status) closed() error {
	return problem.New(problem.Permission, fmt.Sprintf("as a superuser, in database %s: %s", s.CronDatabase, s.grants()),
		"pg_cron's jobs cannot be read: role %s may not use the schema cron of database %s", s.User, s.CronDatabase)
}

// grants is what our role needs of pg_cron.
func (s *Status) grants() string {
	text := "grant usage on schema cron to " + identifier(s.User)
	if s.CronDatabase != s.Database {
		text += "; grant execute on function cron.schedule_in_database to " + identifier(s.User)
	}
	return text
}

// runsAs returns the role that a job of ours runs as. The function that it calls is the owner's to change, and
// may call others: as a superuser it would do whatever the owner, or who can write there, wants done.
func (s *Status) runsAs() string {
	if s.server.Super && !s.ownerSuper {
		return s.Owner
	}
	return s.User
}

// excessive says whether a job has more rights than the tables' owner.
func (s *Status) excessive(j catalog.Job) bool { return j.Super && !s.ownerSuper }

// bounded refuses where no role is at hand that may do no more than the owner.
func (s *Status) bounded() error {
	if !s.server.Super || s.ownerSuper || s.Owner != "" && s.ownerLogin && s.extension.Reschedules {
		return nil
	}
	why := fmt.Sprintf("their owner %s may not log in", identifier(s.Owner))
	switch {
	case s.Owner == "":
		why = "Multica's tables have several owners"
	case !s.extension.Reschedules:
		why = "pg_cron " + s.Version + " cannot schedule for another role"
	}
	return problem.New(problem.Permission, "name the role of role.sql, or another that is no superuser, in the DSN; then: multica-rollup pgcron install",
		"the job would run as superuser %s, who may do more than Multica's tables take: %s", s.User, why)
}

// seen refuses to schedule a job beside one that is hidden from our role.
func (s *Status) seen(allowSecond bool) error {
	if allowSecond || s.SeesAll || s.extension.Empty || s.Job != nil {
		return nil
	}
	return problem.New(problem.Permission,
		fmt.Sprintf("as a superuser, in database %s: %s; where that shows no job: multica-rollup pgcron install --allow-second", s.CronDatabase, lookFor(s.Database)),
		"whether another role's job rolls up this database cannot be known: pg_cron shows role %s its own jobs alone", s.User)
}

// lookFor is the statement that shows the jobs of all roles for a database.
func lookFor(database string) string {
	return "select jobid, jobname, username, active from cron.job where database = " + pg.Literal(database) + " and command ~* 'rollup_task_usage_hourly'"
}

// settled says whether our job is there and as it should be.
func (s *Status) settled() bool {
	j := s.Job
	return j != nil && j.Active && j.Schedule == Schedule && j.Command == Command && j.Database == s.Database && !s.excessive(*j)
}

// schedule replaces what there is of our job by the job as it should be.
// cron.schedule would leave an existing one in the wrong database or switched off.
func (a *Admin) schedule(ctx context.Context, conn *pgx.Conn, s *Status, change *Change) error {
	return pg.InTx(ctx, conn, settings(), func(tx pgx.Tx) error {
		replaced := append([]catalog.Job{}, s.Astray...)
		if s.Job != nil {
			replaced = append(replaced, *s.Job)
		}
		for _, j := range replaced {
			if !j.Own(s.Database) || j.User != s.runsAs() && (s.Job == nil || j.ID != s.Job.ID) {
				continue // not ours; status tells of it
			}
			if _, err := tx.Exec(ctx, query("unschedule"), j.ID); err != nil {
				return fmt.Errorf("replacing %s: %w", j, err)
			}
			change.Done = append(change.Done, fmt.Sprintf("removed %s", j))
		}
		statement, args := "schedule_here", []any{s.name(), Schedule, Command}
		switch {
		case s.runsAs() != s.User:
			statement, args = "schedule_as", append(args, s.Database, s.runsAs())
		case s.CronDatabase != s.Database:
			statement, args = "schedule_there", append(args, s.Database)
		}
		var id int64
		if err := tx.QueryRow(ctx, query(statement), args...).Scan(&id); err != nil {
			return fmt.Errorf("scheduling the job: %w", err)
		}
		now := &Status{Database: s.Database, User: s.User, CronDatabase: s.CronDatabase, Owner: s.Owner, ownerSuper: s.ownerSuper, server: s.server}
		if err := now.readJobs(ctx, tx); err != nil {
			return err
		}
		if now.Job == nil || now.Job.ID != id || !now.settled() {
			return problem.New(problem.Failed, "multica-rollup pgcron status", "pg_cron scheduled the job otherwise than asked: %v", now.Job)
		}
		change.Job = now.Job
		change.Done = append(change.Done, fmt.Sprintf("scheduled %s", *now.Job))
		return nil
	})
}

// notes tell what else the job needs to be of use.
func (s *Status) notes() []string {
	var notes []string
	if s.newest != nil && s.newest.Sub(s.watermark) > farBehind {
		notes = append(notes, fmt.Sprintf("the watermark is at %s, and the job moves it by one day a run at the most; to roll history up first: multica-rollup backfill", report.Stamp(s.watermark)))
	}
	if job := s.Job; job != nil && job.Status == "" && !s.server.Workers {
		notes = append(notes, fmt.Sprintf("pg_cron connects to host %s as role %s; where pg_hba.conf wants a password there, the job fails: %s", s.server.Host, job.User, useWorkers))
	}
	if s.extensionHere {
		notes = append(notes, fmt.Sprintf("the extension pg_cron in database %s is of no use: pg_cron works in database %s", s.Database, s.CronDatabase))
	}
	return notes
}

// advise fills the hints of a status, in the order in which to follow them.
func (s *Status) advise() {
	if err := s.ready(); err != nil {
		s.Hints = append(s.Hints, problem.HintOf(err))
		return
	}
	switch {
	case !s.Readable:
		s.Hints = append(s.Hints, fmt.Sprintf("as a superuser, in database %s: create extension if not exists pg_cron; %s", s.CronDatabase, s.grants()))
		return
	case s.Job == nil && len(s.Others) == 0 && len(s.Second) == 0:
		s.Hints = append(s.Hints, "to schedule the roll-up: multica-rollup pgcron install")
	case s.Job != nil && s.excessive(*s.Job):
		s.Hints = append(s.Hints, fmt.Sprintf("the job runs as superuser %s, who may do more than the tables' owner: to put it right: multica-rollup pgcron install", s.Job.User))
	case s.Job != nil && !s.settled():
		s.Hints = append(s.Hints, "to put the job right: multica-rollup pgcron install")
	}
	if s.Job != nil && s.Job.Active {
		for _, j := range s.Others {
			s.Hints = append(s.Hints, fmt.Sprintf("two jobs do the same work; in database %s: %s", s.CronDatabase, j.Unschedule()))
		}
		for _, o := range s.Second {
			s.Hints = append(s.Hints, fmt.Sprintf("two schedulers do the same work (%s): multica-rollup pgcron remove", o.What))
		}
	}
	for _, j := range s.Kept {
		s.Hints = append(s.Hints, fmt.Sprintf("nothing runs %s, which is kept in database %s: multica-rollup pgcron remove", j, s.Database))
	}
	for _, j := range s.Astray {
		s.Hints = append(s.Hints, fmt.Sprintf("%s fails there; to remove it, in database %s: %s", j, s.CronDatabase, j.Unschedule()))
	}
	if s.Job != nil && s.Job.Status == "failed" && strings.Contains(s.Job.Message, "connection failed") {
		s.Hints = append(s.Hints, "pg_cron cannot log in as "+s.Job.User+": "+useWorkers)
	}
	s.Hints = append(s.Hints, s.notes()...)
}

// useWorkers has pg_cron start its jobs without a connection: none of its own has a password.
const useWorkers = "as a superuser: alter system set cron.use_background_workers = on; then restart PostgreSQL"

func identifier(name string) string { return pgx.Identifier{name}.Sanitize() }
