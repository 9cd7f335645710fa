package doctor

import (
	"context"
	"embed"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pgcron/catalog"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
	"github.com/multica-rollup/multica-rollup/internal/sqltext"
	"github.com/multica-rollup/multica-rollup/internal/state"
	"github.com/multica-rollup/multica-rollup/internal/status"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

var statements = sqltext.Embedded(sqlFiles, pipeline.Parts)

func query(name string) string { return statements.Text(name, nil) }

// Limits say from when on something is too old or too much.
type Limits struct {
	IdleLock time.Duration // a session that does nothing holds lock 4246
	BusyLock time.Duration // a session at work holds lock 4246
	OpenTx   time.Duration // a transaction stays open
	Lag      time.Duration // usage that is due waits
	LagBad   time.Duration // the same, critical
	QueueOld time.Duration // an invalidation waits
	QueueBad time.Duration // the same, shortly before others' ticks prune it at 7 days
	LastRun  time.Duration // nobody ran the roll-up
	Skew     time.Duration // clocks of host and database differ
	FreeDisk uint64        // bytes left for the state directory
}

// DefaultLimits returns the limits of a production system: those of status where
// it judges the same. An open transaction is told as soon as it can be why usage waits.
func DefaultLimits() Limits {
	return Limits{
		IdleLock: time.Minute, BusyLock: status.WarnLock, OpenTx: status.WarnWait - pipeline.CommitLag,
		Lag: status.WarnWait, LagBad: status.CritWait,
		QueueOld: status.WarnQueue, QueueBad: status.CritQueue,
		LastRun: 20 * time.Minute, Skew: 30 * time.Second, FreeDisk: 16 << 20,
	}
}

// Env is what the checks look at. The exported fields are given; the others are
// found by earlier checks and used by later ones.
type Env struct {
	Instance   string         // of several databases on a host; "" for the one
	ConfigPath string         // what was to be read, for advice
	Config     *config.Loaded // nil where ConfigErr is set
	ConfigErr  error
	Connector  *pg.Connector // nil where it could not be made
	Known      pipeline.Known
	Schedulers []scheduler.Kind                                // that there may be inside the database
	Units      func(ctx context.Context) (*units.Units, error) // nil, nil where there is no service manager
	Now        func() time.Time                                // this host's clock
	StateDir   string                                          // as configured; "" means the default
	Root       string                                          // where the host's files are; "" means /
	Limits     Limits

	conn    *pgx.Conn
	pipe    *pipeline.Pipeline
	row     *stateRow
	memory  *ledger.Memory
	another string         // why what is remembered is of another life of the database; "" where it is not
	found   *units.Units   // nil where there is no service manager
	cron    *catalog.State // pg_cron; nil before it is read
	others  []other        // who schedules the roll-up besides our timer
}

// statementTimeout bounds each statement: a check that takes longer is given up as unknown.
const statementTimeout = 10 * time.Second

// read runs fn in a read-only transaction with bounded statements.
func (e *Env) read(ctx context.Context, fn func(pgx.Tx) error) error {
	return e.readOn(ctx, e.conn, fn)
}

func (e *Env) readOn(ctx context.Context, conn *pgx.Conn, fn func(pgx.Tx) error) error {
	return pg.InTx(ctx, conn, e.settings(), fn)
}

// settings are those of every transaction.
func (e *Env) settings() pg.TxSettings {
	return pg.TxSettings{
		LockTimeout: time.Second, StatementTimeout: statementTimeout, ReadOnly: true,
		NoClientCheck: e.pipe == nil || !e.pipe.ClientCheck,
	}
}

// get reads one row in a transaction of its own.
func (e *Env) get(ctx context.Context, into []any, sql string, args ...any) error {
	return e.read(ctx, func(tx pgx.Tx) error { return tx.QueryRow(ctx, sql, args...).Scan(into...) })
}

// list reads one text per row in a transaction of its own.
func (e *Env) list(ctx context.Context, sql string, args ...any) (lines []string, err error) {
	err = e.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		lines, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return lines, err
}

// stateRow is task_usage_hourly_rollup_state and what hangs on it.
type stateRow struct {
	watermark         time.Time
	started, finished *time.Time
	lastError         string
	now               time.Time  // the database's clock
	oldest, newest    *time.Time // events of raw usage; nil where there is none
	waiting           *time.Time // the oldest event at or after the watermark
}

// state reads the state row, once.
func (e *Env) state(ctx context.Context) (*stateRow, error) {
	if e.row != nil {
		return e.row, nil
	}
	r := &stateRow{}
	into := []any{&r.watermark, &r.started, &r.finished, &r.lastError, &r.now, &r.oldest, &r.newest, &r.waiting}
	if err := e.get(ctx, into, query("state")); err != nil {
		return nil, err
	}
	e.row = r
	return r, nil
}

// epoch says whether the watermark has not come to the first event yet.
func (r *stateRow) epoch() bool {
	return r.oldest != nil && r.waiting != nil && r.watermark.Before(*r.oldest) && r.watermark.Year() < 2000
}

// remembered returns what the agent remembers of this database, read once.
func (e *Env) remembered(ctx context.Context) (ledger.Memory, *state.Store, error) {
	store := e.store()
	if e.memory != nil {
		return *e.memory, store, nil
	}
	m, err := store.Load()
	if err != nil && !state.Unusable(err) {
		return m, store, err
	}
	m, another, rerr := e.pipe.Recognised(ctx, e.conn, m)
	if rerr != nil {
		return m, store, rerr
	}
	e.memory, e.another = &m, another
	return m, store, err
}

// store names the files of this database as the walk does.
func (e *Env) store() *state.Store {
	target := e.Connector.Target()
	return state.Inspect(state.Dir(e.StateDir), state.Key(e.pipe.SystemIdentifier, target, e.pipe.Database, e.pipe.Others...), target)
}

// sql is a fix in our own database.
func (e *Env) sql(text string) Fix {
	database := ""
	if e.pipe != nil {
		database = e.pipe.Database
	}
	return Fix{SQL: text, Database: database}
}

// command is a fix by this program, for this instance.
func (e *Env) command(words string) Fix {
	program := "multica-rollup "
	if e.ConfigPath != "" && e.ConfigPath != config.DefaultPath {
		program += "--config " + shellWord(e.ConfigPath) + " "
	}
	return Fix{Command: program + words}
}

// redact masks the password wherever it stands in a finding.
func (e *Env) redact(f *Finding) {
	mask := func(s string) string {
		if e.Config != nil {
			s = e.Config.Redact(s)
		}
		if e.Connector != nil {
			s = e.Connector.Redact(s) // the password may come from libpq's surroundings
		}
		return strings.ReplaceAll(s, "\n", " ")
	}
	f.Summary = mask(f.Summary)
	for i := range f.Evidence {
		f.Evidence[i] = mask(f.Evidence[i])
	}
	if f.Fix != nil {
		f.Fix.Advice = mask(f.Fix.Advice)
	}
}

func (e *Env) close(ctx context.Context) {
	if e.conn != nil {
		pg.Close(ctx, e.conn)
		e.conn = nil
	}
}

func quoteIdent(name string) string {
	if plainIdent(name) {
		return name
	}
	return pgx.Identifier{name}.Sanitize()
}

func plainIdent(name string) bool {
	for i, r := range name {
		if !(r == '_' || r >= 'a' && r <= 'z' || i > 0 && r >= '0' && r <= '9') {
			return false
		}
	}
	return name != ""
}
