// Package status finds out how the roll-up of one database is doing. It writes
// nothing, and everything it asks the database is answered by an index.
package status

import (
	"context"
	"embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pgcron/catalog"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup/engine"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
	"github.com/multica-rollup/multica-rollup/internal/sqltext"
	"github.com/multica-rollup/multica-rollup/internal/state"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

var statements = sqltext.Embedded(sqlFiles)

func statement(name string) string { return statements.Text(name, nil) }

const (
	// countBound is where counting stops: beyond, the number says no more.
	countBound = 100_000
	// statementTimeout bounds each question: on indexes none takes a tenth of it.
	statementTimeout = 5 * time.Second
	lockTimeout      = time.Second
	// backfillApplication is what the names of backfills of this program begin with in the database.
	backfillApplication = "multica-rollup/backfill"
)

// Options say what is looked at.
type Options struct {
	Connector *pg.Connector
	Known     pipeline.Known
	// Schedulers are the kinds that there may be inside the database.
	Schedulers []scheduler.Kind
	Engine     string // as configured: auto, set or function
	// Store returns what is remembered of the database, for reading alone.
	Store func(*pipeline.Pipeline) *state.Store
	// Units asks systemd; nil where no unit works by this configuration.
	Units func(context.Context) (*units.Units, error)
	Now   func() time.Time // the host's clock
}

// Backfill is the session of a backfill that works on a database, from whatever host.
type Backfill struct {
	PID                 int32
	Application, Client string // Client is "" for one on the server's own host
}

// String names the session to people.
func (b Backfill) String() string {
	if b.Client == "" {
		return fmt.Sprintf("%s (pid %d)", b.Application, b.PID)
	}
	return fmt.Sprintf("%s (pid %d, from %s)", b.Application, b.PID, b.Client)
}

// Backfills lists the sessions of backfills that work on the database.
func Backfills(ctx context.Context, q pg.Querier) ([]Backfill, error) {
	rows, err := q.Query(ctx, statement("working"), backfillApplication)
	if err != nil {
		return nil, fmt.Errorf("looking for backfills: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Backfill])
	if err != nil {
		return nil, fmt.Errorf("looking for backfills: %w", err)
	}
	return list, nil
}

// Gather looks at everything. Its errors are problems with a hint: the
// database could not be reached, read, or is none of Multica's.
func Gather(ctx context.Context, o Options) (*report.Status, error) {
	s := &report.Status{
		SchemaVersion: report.SchemaVersion, Target: o.Connector.Target(), Level: report.OK,
		Findings: []report.Finding{}, Schedulers: []report.Scheduler{}, Hours: []report.Hour{}, HostAt: o.Now(),
	}
	var unitsErr error
	if o.Units != nil {
		s.Units, unitsErr = o.Units(ctx)
	}
	conn, err := o.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer pg.Close(ctx, conn)
	p, err := pipeline.Inspect(ctx, conn, o.Known)
	if err != nil {
		return nil, o.Connector.Explain(err)
	}
	if err := p.Multica(); err != nil {
		return nil, err
	}
	if err := describe(s, p, o.Engine); err != nil {
		return nil, err
	}
	settings := pg.TxSettings{ReadOnly: true, LockTimeout: lockTimeout, StatementTimeout: statementTimeout, NoClientCheck: !p.ClientCheck}
	if err := schedulers(ctx, conn, p, o, settings, s); err != nil {
		return nil, o.Connector.Explain(err)
	}
	writable(s, p)
	if r := p.Refusal(); r != nil {
		s.Find(report.Critical, r.Hint(), r.Text)
		if r.Blind() {
			s.Refused, s.At = string(r.Cause), o.Now()
			return s, nil
		}
	}
	if fed := p.Subscribed(); fed != "" {
		s.Find(report.Warning, "multica-rollup doctor", fed+": what arrives late is not rolled up")
	}
	var working []Backfill
	store := o.Store(p)
	m, place := load(s, store)
	m, another, err := p.Recognised(ctx, conn, m)
	if err != nil {
		return nil, o.Connector.Explain(err)
	}
	if another != "" {
		place = nil
		s.Find(report.Warning, "multica-rollup run", "this is not the database that is remembered, so nothing of it is proven: "+another)
	}
	err = pg.InTx(ctx, conn, settings, func(tx pgx.Tx) error {
		if err := ask(ctx, tx, p, s); err != nil {
			return err
		}
		if s.Unproven, err = ReadUnproven(ctx, tx, &m); err != nil {
			return err
		}
		if err = pg.LookAnew(ctx, tx); err != nil {
			return err
		}
		working, err = Backfills(ctx, tx)
		return err
	})
	if err != nil {
		return nil, o.Connector.Explain(p.Explained(ctx, conn, err))
	}
	remembered(s, store, m, place, len(working) > 0)
	judge(s, unitsErr)
	return s, nil
}

// writable finds what keeps every run from writing.
func writable(s *report.Status, p *pipeline.Pipeline) {
	if err := p.Writable(s.Target); err != nil {
		s.Find(report.Critical, problem.HintOf(err), err.Error())
	}
}

// describe notes what the database is and which engine a run would use.
func describe(s *report.Status, p *pipeline.Pipeline, wanted string) error {
	chosen, reason, err := engine.Choose(wanted, p)
	if err != nil {
		return err
	}
	s.Database, s.Generation = p.Database, string(p.Generation)
	s.Engine, s.EngineReason = chosen.Name(), reason
	return nil
}

// schedulers notes who else rolls up the database. What cannot be read is a
// finding: the rest of the status is as true without it.
func schedulers(ctx context.Context, conn *pgx.Conn, p *pipeline.Pipeline, o Options, settings pg.TxSettings, s *report.Status) error {
	from := scheduler.Source{Conn: conn, Settings: settings, Database: p.Database}
	unread := func(err error) error {
		if pg.SQLState(err) == "" {
			return err
		}
		s.Find(report.Warning, "multica-rollup doctor", "who else rolls up is not known: "+o.Connector.Explain(err).Error())
		return nil
	}
	cron, err := catalog.Read(ctx, conn, o.Connector, settings)
	if err != nil {
		err = unread(err)
	}
	if err != nil {
		return err
	}
	from.Cron = cron
	found, err := scheduler.Read(ctx, o.Schedulers, from)
	if err != nil {
		return unread(err)
	}
	for _, f := range found {
		s.Schedulers = append(s.Schedulers, report.Scheduler{
			Kind: f.Kind, Title: f.Title(), Detail: f.Detail, Schedule: f.Schedule, Active: f.Active, LastRun: f.LastRun, LastOK: f.LastOK,
		})
	}
	return nil
}

// ask reads everything that changes from run to run.
func ask(ctx context.Context, q pg.Querier, p *pipeline.Pipeline, s *report.Status) error {
	row, err := pipeline.ReadState(ctx, q, p.Database)
	if err != nil {
		return err
	}
	s.Watermark, s.At = row.Watermark, row.Now
	s.LastRun.Started, s.LastRun.Finished, s.LastRun.Rows, s.LastRun.Error = row.Started, row.Finished, row.Rows, row.Error
	if s.Guard, err = pipeline.ReadGuard(ctx, q, p); err != nil {
		return err
	}
	s.Newest = s.Guard.Newest
	s.LagSeconds = s.Lag().Seconds()
	if s.Waiting, err = counted(ctx, q, "waiting", s.Watermark, countBound+1); err != nil {
		return fmt.Errorf("counting what waits: %w", err)
	}
	if s.Queue, err = counted(ctx, q, "queue", countBound+1); err != nil {
		return fmt.Errorf("counting the queue: %w", err)
	}
	sessions, err := pg.LockSessions(ctx, q)
	if err != nil {
		return err
	}
	for _, l := range sessions {
		if l.Granted {
			s.Lock = append(s.Lock, report.Holder{Text: l.String(), Since: l.Since, State: l.State})
		}
	}
	rows, err := q.Query(ctx, statement("hours"))
	if err != nil {
		return fmt.Errorf("reading the last 24 hours: %w", err)
	}
	if s.Hours, err = pgx.CollectRows(rows, pgx.RowToStructByPos[report.Hour]); err != nil {
		return fmt.Errorf("reading the last 24 hours: %w", err)
	}
	return nil
}

func counted(ctx context.Context, q pg.Querier, name string, args ...any) (c report.Counted, err error) {
	var oldest *time.Time
	if err = q.QueryRow(ctx, statement(name), args...).Scan(&c.Count, &oldest); err != nil {
		return c, err
	}
	c.Oldest = orZero(oldest)
	if c.Count > countBound {
		c.Count, c.More = countBound, true
	}
	return c, nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// load reads what the state directory says.
func load(s *report.Status, store *state.Store) (m ledger.Memory, place *ledger.Checkpoint) {
	m, err := store.Load()
	if err == nil {
		place, err = store.LoadCheckpoint()
	}
	if err != nil {
		s.Find(report.Warning, "sudo multica-rollup status", "what the agent remembers cannot be read: "+err.Error())
	}
	return m, place
}

// remembered adds what the agent remembers, and the checkpoint of an unfinished backfill; nil where there is none.
func remembered(s *report.Status, store *state.Store, m ledger.Memory, place *ledger.Checkpoint, working bool) {
	s.Debts, s.GivenUp, s.Drift, s.Notices, s.Proven = m.Deferred, m.GivenUp, m.Drift, m.Notices, m.Proven.Oldest()
	if r := m.Run; r != nil {
		s.AgentRun = &report.AgentRun{Started: r.Started, Finished: r.Finished, OK: r.OK, Error: r.Error, Rows: r.Rows}
	}
	unit := (*units.Service)(nil)
	if s.Units != nil {
		unit = s.Units.Backfill
	}
	held, heldErr := store.BackfillAtWork()
	working = working || unit.Working() || held
	if place == nil && !working {
		return
	}
	s.Backfill = &report.Backfill{Running: working, Unknown: heldErr != nil && !working}
	if s.Backfill.Unknown {
		s.Find(report.Warning, "sudo multica-rollup status", heldErr.Error())
	}
	if place != nil {
		s.Backfill.Cursor, s.Backfill.To, s.Backfill.Updated = place.Cursor, place.PassTo, place.UpdatedAt
		s.Backfill.Done, s.Backfill.Total = place.Done, place.Total
		if place.Total > 0 { // else it has not been counted yet
			s.Backfill.Percent = report.Progress{Done: place.Done, Total: place.Total}.Percent()
		}
	}
	if unit.Working() {
		s.Backfill.Status = unit.Status
	}
}
