// Package pgcron looks after the roll-up's job in pg_cron, the scheduler inside
// PostgreSQL: one job, in the right database, beside no other scheduler. It
// never edits the server's configuration; it says what its administrator has to.
package pgcron

import (
	"context"
	"embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pgcron/catalog"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
	"github.com/multica-rollup/multica-rollup/internal/sqltext"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

var statements = sqltext.Embedded(sqlFiles)

func query(name string) string { return statements.Text(name, nil) }

// The job, as install schedules it.
const (
	Schedule = "*/5 * * * *"
	Command  = "select rollup_task_usage_hourly()"
)

// SchemaVersion is the version of the JSON forms. It changes when a field
// changes its meaning or goes; a new field leaves it.
const SchemaVersion = 1

// lastRuns is how many runs of the job are shown.
const lastRuns = 5

// Status is what there is of pg_cron.
type Status struct {
	SchemaVersion int             `json:"schema_version"`
	Target        string          `json:"target"`   // host:port/database
	Database      string          `json:"database"` // Multica's
	User          string          `json:"user"`
	Preload       catalog.Preload `json:"preload"`
	Libraries     string          `json:"shared_preload_libraries"` // as far as it may be seen
	Available     bool            `json:"available"`                // the extension's files are on the server
	CronDatabase  string          `json:"cron_database"`            // where pg_cron reads its jobs; "" where that is not known
	Version       string          `json:"version"`                  // of the extension there; "" where it is not created
	Unreachable   string          `json:"unreachable,omitempty"`    // why that database cannot be connected to
	Readable      bool            `json:"readable"`                 // our role may read its jobs there
	SeesAll       bool            `json:"sees_all"`                 // and those of every role
	Owner         string          `json:"owner"`                    // of Multica's tables; "" where they have several

	Job    *catalog.Job  `json:"job"`              // ours
	Runs   []catalog.Run `json:"runs"`             // its last runs, the newest first
	Others []catalog.Job `json:"others"`           // further jobs that roll up this database
	Astray []catalog.Job `json:"astray,omitempty"` // jobs that fail in another database, which has no such function
	Kept   []catalog.Job `json:"kept,omitempty"`   // jobs in our database that nothing runs: pg_cron works in another one, or is not loaded
	Second []Scheduler   `json:"schedulers"`       // who rolls up this database outside pg_cron
	Hints  []string      `json:"hints,omitempty"`  // what to do, in order

	server        catalog.Server
	extension     catalog.Extension // in pg_cron's database
	foreignJob    bool              // a job with our name works for another database
	watermark     time.Time
	newest        *time.Time
	ownerSuper    bool // the owner is a superuser
	ownerLogin    bool // the owner may log in
	extensionHere bool // pg_cron is created in our database, though it works in another
}

// Scheduler is somebody outside pg_cron who rolls up the database, and how to end that.
type Scheduler struct {
	What string `json:"what"`
	Stop string `json:"stop"`
}

// Admin works on one database's job.
type Admin struct {
	connector *pg.Connector
	known     pipeline.Known
	kinds     []scheduler.Kind // besides pg_cron
	timer     func(context.Context) (*units.Timer, error)
}

// New returns an admin. kinds are the schedulers that there may be besides the
// job. timer tells of this host's own timer for the database; it may be nil, and
// returns nil where there is none.
func New(connector *pg.Connector, known pipeline.Known, kinds []scheduler.Kind, timer func(context.Context) (*units.Timer, error)) *Admin {
	return &Admin{connector: connector, known: known, kinds: scheduler.Without(kinds, scheduler.PgCron), timer: timer}
}

// Status looks at pg_cron, its jobs and the other schedulers. It writes nothing.
func (a *Admin) Status(ctx context.Context) (*Status, error) {
	conns, s, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	defer conns.close(ctx)
	s.advise()
	return s, nil
}

// connections are to our database and to pg_cron's, which may be the same.
type connections struct{ ours, cron *pgx.Conn }

func (c *connections) close(ctx context.Context) {
	if c.cron != nil && c.cron != c.ours {
		pg.Close(ctx, c.cron)
	}
	if c.ours != nil {
		pg.Close(ctx, c.ours)
	}
}

// open connects and finds out all there is. Its errors are problems.
func (a *Admin) open(ctx context.Context) (*connections, *Status, error) {
	conn, err := a.connector.Connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	c := &connections{ours: conn}
	s, err := a.look(ctx, c)
	if err != nil {
		c.close(ctx)
		return nil, nil, a.connector.Explain(err)
	}
	return c, s, nil
}

func (a *Admin) look(ctx context.Context, c *connections) (*Status, error) {
	p, err := pipeline.Inspect(ctx, c.ours, a.known)
	if err != nil {
		return nil, err
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.Standby { // pg_cron works on the primary
		return nil, p.Writable(a.connector.Target())
	}
	s := &Status{SchemaVersion: SchemaVersion, Target: a.connector.Target(), Runs: []catalog.Run{}, Others: []catalog.Job{}, Second: []Scheduler{}}
	if err := s.readServer(ctx, c.ours); err != nil {
		return nil, err
	}
	if err := s.readOwner(ctx, c.ours, p); err != nil {
		return nil, err
	}
	err = pg.InTx(ctx, c.ours, p.Reads(), func(tx pgx.Tx) error {
		row, err := pipeline.ReadState(ctx, tx, p.Database)
		if err != nil {
			return err
		}
		s.watermark = row.Watermark
		if err := tx.QueryRow(ctx, "select max(updated_at) from task_usage").Scan(&s.newest); err != nil {
			return fmt.Errorf("reading the newest usage: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := a.readSecond(ctx, c.ours, p, s); err != nil {
		return nil, err
	}
	if err := a.findCron(ctx, c, s); err != nil {
		return nil, err
	}
	if err := s.findKept(ctx, c); err != nil {
		return nil, err
	}
	if !s.Readable {
		return s, nil
	}
	return s, read(ctx, c.cron, func(q pg.Querier) error { return s.readJobs(ctx, q) })
}

// settings are those of transactions on what is pg_cron's: its own policies show each role its own jobs.
func settings() pg.TxSettings { return pg.TxSettings{Filtered: true, NoClientCheck: true} }

// read runs fn in a transaction that reads what is pg_cron's.
func read(ctx context.Context, conn *pgx.Conn, fn func(pg.Querier) error) error {
	s := settings()
	s.ReadOnly = true
	return pg.InTx(ctx, conn, s, func(tx pgx.Tx) error { return fn(tx) })
}

func (s *Status) readServer(ctx context.Context, conn *pgx.Conn) (err error) {
	err = read(ctx, conn, func(q pg.Querier) error {
		s.server, err = catalog.ReadServer(ctx, q)
		return err
	})
	if err != nil {
		return err
	}
	s.Database, s.User = s.server.Database, s.server.User
	s.Preload, s.Libraries, s.CronDatabase = s.server.Preload, s.server.Libraries, s.server.Works()
	s.Available, s.SeesAll = s.server.Available, s.server.SeesAll
	return nil
}

// readOwner finds out who owns Multica's tables.
func (s *Status) readOwner(ctx context.Context, conn *pgx.Conn, p *pipeline.Pipeline) error {
	s.Owner = p.Owner()
	if s.Owner == "" {
		return nil
	}
	err := pg.InTx(ctx, conn, p.Reads(), func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, query("owner"), s.Owner).Scan(&s.ownerSuper, &s.ownerLogin)
	})
	if err != nil {
		return fmt.Errorf("reading the owner of the tables: %w", err)
	}
	return nil
}

// readSecond lists who else rolls up this database, outside pg_cron.
func (a *Admin) readSecond(ctx context.Context, conn *pgx.Conn, p *pipeline.Pipeline, s *Status) error {
	if a.timer != nil {
		t, err := a.timer(ctx)
		if err != nil {
			return err
		}
		if t != nil && (t.Enabled || t.Active) {
			s.Second = append(s.Second, Scheduler{"this host's " + t.Name, "systemctl disable --now " + t.Name})
		}
	}
	others, err := scheduler.Read(ctx, a.kinds, scheduler.Source{Conn: conn, Settings: p.Reads(), Database: s.Database})
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.Active {
			s.Second = append(s.Second, Scheduler{o.Title(), o.Beside})
		}
	}
	return nil
}

// findCron connects to the database in which pg_cron works. Where our role
// may not see which that is, it is where the extension is found: in ours or in
// postgres, the setting's default.
func (a *Admin) findCron(ctx context.Context, c *connections, s *Status) error {
	for _, name := range s.server.Candidates() {
		conn := c.ours
		if name != s.Database {
			var err error
			if conn, err = a.connector.InDatabase(name).Connect(ctx); err != nil {
				if s.CronDatabase == name {
					s.Unreachable = err.Error()
				}
				continue
			}
		}
		if err := s.readExtension(ctx, conn); err != nil {
			return err
		}
		if s.Version == "" && s.CronDatabase == "" {
			if conn != c.ours {
				pg.Close(ctx, conn)
			}
			continue
		}
		c.cron, s.CronDatabase = conn, name
		break
	}
	return nil
}

// findKept looks for jobs that are kept in our database though pg_cron reads
// those of another one, or is not loaded: nothing runs them.
func (s *Status) findKept(ctx context.Context, c *connections) error {
	if c.cron == c.ours {
		return nil
	}
	return read(ctx, c.ours, func(q pg.Querier) error {
		here, err := catalog.ReadExtension(ctx, q)
		if err != nil {
			return err
		}
		s.extensionHere = here.Version != ""
		if !here.Readable {
			return nil
		}
		jobs, err := catalog.ReadJobs(ctx, q, s.Database)
		for _, j := range jobs {
			if j.Database == s.Database {
				s.Kept = append(s.Kept, j)
			}
		}
		return err
	})
}

// readExtension looks for pg_cron in the database at hand, and at what our role may do with it.
func (s *Status) readExtension(ctx context.Context, conn *pgx.Conn) (err error) {
	err = read(ctx, conn, func(q pg.Querier) error {
		s.extension, err = catalog.ReadExtension(ctx, q)
		return err
	})
	if err != nil {
		return fmt.Errorf("in database %s: %w", conn.Config().Database, err)
	}
	s.Version, s.Readable = s.extension.Version, s.extension.Readable
	return nil
}

// name returns what our job is called: where another database of this server
// has a job of the plain name, with its own.
func (s *Status) name() string {
	if s.foreignJob {
		return catalog.JobName + "-" + s.Database
	}
	return catalog.JobName
}

func (s *Status) readJobs(ctx context.Context, q pg.Querier) error {
	jobs, err := catalog.ReadJobs(ctx, q, s.CronDatabase)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		switch {
		case j.Database == s.Database && j.Own(s.Database) && (s.Job == nil || s.Job.User != s.runsAs()):
			if s.Job != nil {
				s.Others = append(s.Others, *s.Job)
			}
			s.Job = &j
		case j.Database == s.Database:
			s.Others = append(s.Others, j)
		case j.Astray(s.Database):
			s.Astray = append(s.Astray, j)
		case j.Name == catalog.JobName && j.User == s.runsAs():
			s.foreignJob = true
		}
	}
	if s.Job == nil {
		return nil
	}
	s.Runs, err = catalog.ReadRuns(ctx, q, s.Job.ID, lastRuns)
	return err
}
