// Package catalog reads what there is of pg_cron on a server: whether it is
// loaded, in which database it works, and its jobs that roll up. Whoever wants
// to know something of pg_cron asks here.
package catalog

import (
	"context"
	"embed"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

var statements = sqltext.Embedded(sqlFiles)

func query(name string) string { return statements.Text(name, nil) }

// JobName is what pgcron install calls its job. Where another database of the
// server has a job of that name, "-" and the database's name follow.
const JobName = "multica-rollup"

// library is what shared_preload_libraries has to list.
const library = "pg_cron"

// defaultDatabase is where pg_cron works unless cron.database_name names another database.
const defaultDatabase = "postgres"

// Preload says whether the server has loaded pg_cron.
type Preload string

// The answers.
const (
	Loaded    Preload = "loaded"
	NotLoaded Preload = "not loaded"
	Hidden    Preload = "hidden from this role"
)

// Server is what the server says of pg_cron, as far as our role may see it.
type Server struct {
	Database, User string // where we are connected, and as whom
	Preload        Preload
	Libraries      string // shared_preload_libraries; "" where Preload is Hidden
	Setting        string // cron.database_name; "" where it is hidden, or pg_cron is not loaded
	Launcher       string // the database that its launcher works in; "" where none is seen
	LauncherHidden bool   // one that is not seen may run all the same
	Available      bool   // the extension's files are installed
	Major          int    // version of the server
	Inherits       bool   // our role has the attribute INHERIT
	Super          bool   // our role is a superuser
	Workers        bool   // jobs are started without a connection, or that is hidden from our role
	Host           string // to which pg_cron connects otherwise; "" where that is hidden
	SeesAll        bool   // row security shows our role the jobs of every role
}

// ReadServer asks the server of q.
func ReadServer(ctx context.Context, q pg.Querier) (Server, error) {
	var s Server
	var libraries *string
	err := q.QueryRow(ctx, query("server")).
		Scan(&s.Database, &s.User, &libraries, &s.Setting, &s.Launcher, &s.LauncherHidden, &s.Available, &s.Major, &s.SeesAll, &s.Inherits, &s.Super, &s.Workers, &s.Host)
	if err != nil {
		return s, fmt.Errorf("reading the server's settings: %w", err)
	}
	switch {
	case libraries != nil:
		s.Libraries = *libraries
		s.Preload = NotLoaded
		if slices.ContainsFunc(preloaded(*libraries), isLibrary) {
			s.Preload = Loaded
		}
	default:
		s.Preload = Hidden
	}
	if s.Launcher != "" {
		s.Preload = Loaded
	}
	return s, nil
}

// Works returns the database whose jobs pg_cron reads, also where it does not
// run at the moment; "" where it is not loaded, or that is not known.
func (s Server) Works() string {
	switch {
	case s.Launcher != "":
		return s.Launcher
	case s.Preload == NotLoaded:
		return ""
	}
	return s.Setting
}

// Launched returns the database in which pg_cron runs now; "" where it does
// not, or where that is hidden from our role.
func (s Server) Launched() string {
	if s.Launcher == "" && s.LauncherHidden {
		return s.Works()
	}
	return s.Launcher
}

// Runs says whether pg_cron runs the jobs that this database keeps, as far as
// our role can see: what is hidden from it is taken to run.
func (s Server) Runs(database string) bool {
	switch {
	case s.Launched() != "":
		return s.Launched() == database
	case s.Preload == NotLoaded:
		return false
	}
	return s.LauncherHidden
}

// Candidates returns the databases in which to look for pg_cron's extension, in
// order: where it works, or, where our role may not see which that is, ours and
// the setting's default.
func (s Server) Candidates() []string {
	switch {
	case s.Works() != "":
		return []string{s.Works()}
	case s.Preload == NotLoaded:
		return nil
	}
	return []string{s.Database, defaultDatabase}
}

// WithLibrary returns the names of shared_preload_libraries with pg_cron's added.
func (s Server) WithLibrary() []string {
	return append(preloaded(s.Libraries), library)
}

// Preloading is the statement that has the server load pg_cron, with what else
// it loads, when it is next started. Libraries has to be seen for that.
func (s Server) Preloading() string {
	names := s.WithLibrary()
	for i, name := range names {
		if !plainName.MatchString(name) {
			names[i] = pgx.Identifier{name}.Sanitize()
		}
	}
	return "alter system set shared_preload_libraries = " + strings.Join(names, ",")
}

// plainName is a name that a statement takes as it is.
var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// preloaded returns the names in a value of shared_preload_libraries.
func preloaded(value string) []string {
	var names []string
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.Trim(strings.TrimSpace(name), `"`); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// isLibrary says whether an entry of shared_preload_libraries is pg_cron, which
// may be written with its directory and its suffix.
func isLibrary(name string) bool { return strings.TrimSuffix(path.Base(name), ".so") == library }

// Extension is pg_cron's extension in one database.
type Extension struct {
	Version     string // "" where it is not created
	Readable    bool   // our role may read its jobs and runs
	Schedules   bool   // our role may schedule for this database
	Reschedules bool   // and for others
	Empty       bool   // there is no job at all: nothing was ever written to cron.job, whatever our role sees of it
}

// ReadExtension looks for the extension in the database of q.
func ReadExtension(ctx context.Context, q pg.Querier) (Extension, error) {
	var e Extension
	if err := q.QueryRow(ctx, query("extension")).Scan(&e.Version, &e.Readable, &e.Schedules, &e.Reschedules, &e.Empty); err != nil {
		return e, fmt.Errorf("looking for pg_cron: %w", err)
	}
	return e, nil
}

// Job is a job of pg_cron that rolls up.
type Job struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"` // "" where it has none
	Schedule string `json:"schedule"`
	Command  string `json:"command"`
	Database string `json:"database"`
	User     string `json:"user"`
	Super    bool   `json:"superuser"` // that user is one
	Active   bool   `json:"active"`
	Status   string `json:"last_status,omitempty"` // of the last run that ended: succeeded or failed
	Message  string `json:"last_message,omitempty"`

	Last *time.Time `json:"-"` // when that run started; nil where there is none, or it could not connect
	Kept string     `json:"-"` // the database whose cron.job holds it
}

// String describes the job in a few words.
func (j Job) String() string {
	s := j.Title() + fmt.Sprintf(" (%s) in database %s as %s", j.Schedule, j.Database, j.User)
	if !j.Active {
		s += ", switched off"
	}
	return s
}

// Title names the job.
func (j Job) Title() string {
	if j.Name == "" {
		return fmt.Sprintf("job %d", j.ID)
	}
	return fmt.Sprintf("job %d %q", j.ID, j.Name)
}

// Own says whether the job is called as pgcron install calls that of this database.
func (j Job) Own(database string) bool {
	return j.Name == JobName || j.Name == JobName+"-"+database
}

// Astray says whether the job fails in the database that keeps it, which is not
// this one: another Multica's job succeeds there.
func (j Job) Astray(database string) bool {
	return j.Database != database && j.Database == j.Kept && j.Status == "failed"
}

// plainCall is a command that rolls up and does nothing else.
var plainCall = regexp.MustCompile(`(?i)^\s*select\s+(\*\s+from\s+)?("?[a-z0-9_]+"?\.)?rollup_task_usage_hourly\s*\(\s*\)\s*;?\s*$`)

// Plain says whether the job rolls up and does nothing else, so that it can be
// removed whoever made it.
func (j Job) Plain() bool { return plainCall.MatchString(j.Command) }

// Unschedule is the statement that removes the job, in the database that keeps it.
func (j Job) Unschedule() string { return fmt.Sprintf("select cron.unschedule(%d)", j.ID) }

// ReadJobs returns the jobs that roll up, as the database of q keeps them and
// row security shows them to our role. The extension has to be readable.
func ReadJobs(ctx context.Context, q pg.Querier, database string) ([]Job, error) {
	rows, err := q.Query(ctx, query("jobs"))
	if err != nil {
		return nil, fmt.Errorf("reading pg_cron's jobs: %w", err)
	}
	jobs, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (Job, error) {
		j := Job{Kept: database}
		err := r.Scan(&j.ID, &j.Name, &j.Schedule, &j.Command, &j.Database, &j.User, &j.Super, &j.Active, &j.Last, &j.Status, &j.Message)
		return j, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading pg_cron's jobs: %w", err)
	}
	return jobs, nil
}

// Run is one run of a job.
type Run struct {
	Started *time.Time `json:"started"`
	Ended   *time.Time `json:"ended"`
	Status  string     `json:"status"`  // succeeded, failed, running, …
	Message string     `json:"message"` // the error, or what the command returned
}

// ReadRuns returns the last runs of a job, the newest first.
func ReadRuns(ctx context.Context, q pg.Querier, job int64, limit int) ([]Run, error) {
	rows, err := q.Query(ctx, query("runs"), job, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the job's runs: %w", err)
	}
	runs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Run])
	if err != nil {
		return nil, fmt.Errorf("reading the job's runs: %w", err)
	}
	return runs, nil
}
