// Package pipeline tells what usage pipeline a database has: which generation
// of Multica's migrations, and which of its functions, columns and triggers.
package pipeline

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

var statements = sqltext.Embedded(sqlFiles, Parts)

func query(name string) string { return statements.Text(name, nil) }

// The relations of the pipeline.
const (
	Usage  = "task_usage"
	Tasks  = "agent_task_queue"
	Agents = "agent"
	Issues = "issue"
	Hourly = "task_usage_hourly"
	State  = "task_usage_hourly_rollup_state"
	Dirty  = "task_usage_hourly_dirty"
)

// tables are those without which nothing can be rolled up.
var tables = []string{Usage, Tasks, Agents, Issues, Hourly, Dirty, State}

// The functions of the pipeline.
const (
	WindowFunction = "rollup_task_usage_hourly_window"
	TickFunction   = "rollup_task_usage_hourly"
	PruneFunction  = "prune_task_usage_hourly_dirty"
	BucketFunction = "task_usage_hour_bucket"
	LagFunction    = "task_usage_hourly_rollup_lag_seconds"
)

// A Generation is a stage of Multica's migrations that matters to the roll-up.
type Generation string

// The generations, named by the migration that began each.
const (
	Gen102     Generation = "102" // v0.3.5: the hourly pipeline
	Gen213     Generation = "213" // v0.4.10: cost columns
	Gen272     Generation = "272" // v0.4.23: the tick's lock is the transaction's
	GenUnknown Generation = "unknown"
)

// Relation is a table of the pipeline as this database has it.
type Relation struct {
	Name    string
	Schema  string // "" where the search_path finds no such table
	Columns []string
	Rows    int64 // the planner's estimate; -1 where it has none

	Kind        string   // pg_class.relkind: r a table, p a partitioned one, v a view …
	Owner       string   // role
	Owned       bool     // our role is its owner, or has the owner's privileges
	RowSecurity bool     // row-level security applies to our role: rows may be hidden from it
	Unreadable  []string // columns that we need and may not read
	Keyed       bool     // unique, NULLS NOT DISTINCT, on exactly the seven columns of a bucket
}

// Present says whether the search_path finds the table.
func (r Relation) Present() bool { return r.Schema != "" }

// Function is a function of the pipeline as this database has it.
type Function struct {
	Name        string
	Schema      string
	Source      string `json:"-"`
	Fingerprint string // sha256 of its source text, hex; "" where it is missing
	Known       string // the release that brought this text, "" where it is not known
}

// Present says whether the search_path finds the function.
func (f Function) Present() bool { return f.Fingerprint != "" }

// Trigger is one of the triggers that put keys on the dirty queue.
type Trigger struct {
	Name, Table string
	Present     bool
	Enabled     bool
}

// Pipeline is what Inspect found.
type Pipeline struct {
	Server           int        // server_version_num, such as 170002
	Database, User   string     // current_database, current_user
	Others           []string   // the server's other databases, by name
	SystemIdentifier string     // of the cluster; "" where our role may not read it
	Standby          bool       // the server is in recovery
	Frozen           *pg.Freeze // by whom writes are switched off; nil on a standby, and where they are not
	SearchPath       string
	Inherits         bool     // our role has the attribute INHERIT
	PathInDSN        bool     // the DSN sets the search_path, not the role or the database
	Homes            []string // the schemas that hold all tables of the pipeline
	ClientCheck      bool     // client_connection_check_interval works on the server's platform

	Generation    Generation
	Columns       Columns // the counters of the hourly table that are known
	Relations     map[string]Relation
	Functions     map[string]Function
	Triggers      []Trigger
	Subscriptions []Subscription
	UniqueHourly  bool // uq_task_usage_hourly_key is there and treats NULLs as equal
	UniqueDirty   bool // likewise uq_task_usage_hourly_dirty_key
	UniqueUsage   bool // unique (task_id, provider, model) on task_usage
	Indexes       map[string]bool

	Migrations  []string // those of the pipeline that schema_migrations lists
	Legacy      bool     // task_usage_daily is still there: 103 has not run
	Obstacles   []string // why the set engine cannot be used; empty: it can
	Unknown     []string // those of them that are columns nobody here knows: what they count is not compared either
	Unverified  []string // fingerprints that are not known, which auto respects and set does not
	InspectedAt time.Time

	stages []Stage // that are known
}

// Owner returns the role that owns all tables of the pipeline; "" where there are several.
func (p *Pipeline) Owner() string {
	owner := p.Relations[Hourly].Owner
	for _, name := range tables {
		if p.Relations[name].Owner != owner {
			return ""
		}
	}
	return owner
}

// Membership returns the statement that gives our role what another role may do.
func (p *Pipeline) Membership(of string) string {
	return pg.Membership(of, p.User, p.Server/10000, p.Inherits)
}

// HasCosts says whether the cost columns of v0.4.10 are there.
func (p *Pipeline) HasCosts() bool { return p.Columns.Has("cost_usd_ticks") }

// Missing lists the tables and functions the roll-up cannot do without and does not find.
func (p *Pipeline) Missing() []string {
	var missing []string
	for _, name := range tables {
		if !p.Relations[name].Present() {
			missing = append(missing, "table "+name)
		}
	}
	for _, name := range []string{WindowFunction, TickFunction, BucketFunction} {
		if !p.Functions[name].Present() {
			missing = append(missing, "function "+name+"()")
		}
	}
	return missing
}

// Applied says whether schema_migrations lists a migration with this number.
func (p *Pipeline) Applied(number string) bool {
	return slices.ContainsFunc(p.Migrations, func(v string) bool { return strings.HasPrefix(v, number+"_") || v == number })
}

// Inspect reads what the database has. It fails only where the database cannot
// be read; use Check for a verdict on what was found.
func Inspect(ctx context.Context, conn *pgx.Conn, known Known) (*Pipeline, error) {
	p := &Pipeline{Functions: map[string]Function{}, Indexes: map[string]bool{}, InspectedAt: time.Now(), stages: known.Stages}
	if err := p.tryClientCheck(ctx, conn); err != nil {
		return nil, fmt.Errorf("trying client_connection_check_interval: %w", err)
	}
	err := pg.InTx(ctx, conn, p.Reads(), func(tx pgx.Tx) error { return p.read(ctx, tx, known) })
	if err != nil {
		return nil, err
	}
	// What these two ask may be refused, which ends their transactions.
	if err := p.readIdentifier(ctx, conn); err != nil {
		return nil, fmt.Errorf("reading the system identifier: %w", err)
	}
	if err := p.readMigrations(ctx, conn); err != nil {
		return nil, fmt.Errorf("reading schema_migrations: %w", err)
	}
	p.classify()
	return p, nil
}

func (p *Pipeline) read(ctx context.Context, tx pgx.Tx, known Known) error {
	steps := []struct {
		doing string
		do    func() error
	}{
		{"reading the server's version", func() error { return p.readServer(ctx, tx) }},
		{"listing the server's databases", func() error { return p.readOthers(ctx, tx) }},
		{"reading the pipeline's tables", func() error { return p.readRelations(ctx, tx) }},
		{"reading the pipeline's functions", func() error { return p.readFunctions(ctx, tx, known.Fingerprints) }},
		{"reading the pipeline's triggers", func() error { return p.readTriggers(ctx, tx) }},
		{"looking for logical subscriptions", func() error { return p.readSubscriptions(ctx, tx) }},
		{"reading the pipeline's indexes", func() error { return p.readIndexes(ctx, tx) }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.doing, err)
		}
	}
	return nil
}

// tryClientCheck finds out whether the server's platform can watch for a lost client.
func (p *Pipeline) tryClientCheck(ctx context.Context, conn *pgx.Conn) error {
	p.ClientCheck = true
	_, err := conn.Exec(ctx, "begin; set local client_connection_check_interval = 500; rollback")
	if pg.SQLState(err) == "" {
		return err
	}
	p.ClientCheck = false
	_, err = conn.Exec(ctx, "rollback")
	return err
}

func (p *Pipeline) readServer(ctx context.Context, q pg.Querier) error {
	var source string
	var frozen bool
	err := q.QueryRow(ctx, query("server")).Scan(&p.Server, &p.Database, &p.User, &p.Standby, &p.SearchPath, &source, &frozen, &p.Inherits)
	if err != nil {
		return err
	}
	p.PathInDSN = source == "client"
	if frozen && !p.Standby {
		p.Frozen, err = pg.ReadFreeze(ctx, q)
	}
	return err
}

func (p *Pipeline) readOthers(ctx context.Context, q pg.Querier) error {
	rows, err := q.Query(ctx, "select datname::text from pg_database where datname <> current_database()")
	if err != nil {
		return err
	}
	p.Others, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return err
}

// readIdentifier reads the cluster's identifier. Managed platforms may withhold it; then the state directory's key
// does without.
func (p *Pipeline) readIdentifier(ctx context.Context, conn *pgx.Conn) error {
	err := pg.InTx(ctx, conn, p.Reads(), func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "select system_identifier::text from pg_control_system()").Scan(&p.SystemIdentifier)
	})
	if pg.SQLState(err) != "" {
		return nil
	}
	return err
}

func (p *Pipeline) readRelations(ctx context.Context, q pg.Querier) (err error) {
	if p.Relations, err = p.relations(ctx, q, append(slices.Clone(tables), "task_usage_daily", "schema_migrations")); err != nil {
		return err
	}
	p.Legacy = p.Relations["task_usage_daily"].Present()
	rows, err := q.Query(ctx, query("homes"), tables)
	if err != nil {
		return err
	}
	p.Homes, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return err
}

// relations looks tables up, each by its name.
func (p *Pipeline) relations(ctx context.Context, q pg.Querier, names []string) (map[string]Relation, error) {
	var needing, needed []string
	for _, table := range tables {
		for _, column := range readable(table, p.stages) {
			needing, needed = append(needing, table), append(needed, column)
		}
	}
	rows, err := q.Query(ctx, query("relations"), names, needing, needed, keyColumns())
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Relation])
	if err != nil {
		return nil, err
	}
	found := map[string]Relation{}
	for _, r := range list {
		found[r.Name] = r
	}
	return found, nil
}

func (p *Pipeline) readFunctions(ctx context.Context, q pg.Querier, known Fingerprints) error {
	names := []string{WindowFunction, TickFunction, PruneFunction, BucketFunction, LagFunction}
	rows, err := q.Query(ctx, query("functions"), names)
	if err != nil {
		return err
	}
	var f Function
	_, err = pgx.ForEachRow(rows, []any{&f.Name, &f.Schema, &f.Source}, func() error {
		f.Fingerprint = Fingerprint(f.Source)
		f.Known = known.Release(f.Name, f.Fingerprint)
		p.Functions[f.Name] = f
		return nil
	})
	return err
}

// Fingerprint returns the sha256 of a function's source text (pg_proc.prosrc), in hex.
func Fingerprint(source string) string {
	sum := sha256.Sum256([]byte(source))
	return hex.EncodeToString(sum[:])
}

func (p *Pipeline) readTriggers(ctx context.Context, q pg.Querier) error {
	rows, err := q.Query(ctx, query("triggers"))
	if err != nil {
		return err
	}
	p.Triggers, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Trigger])
	return err
}

func (p *Pipeline) readIndexes(ctx context.Context, q pg.Querier) error {
	if err := q.QueryRow(ctx, query("constraints")).Scan(&p.UniqueHourly, &p.UniqueDirty, &p.UniqueUsage); err != nil {
		return err
	}
	rows, err := q.Query(ctx, query("indexes"))
	if err != nil {
		return err
	}
	var name string
	_, err = pgx.ForEachRow(rows, []any{&name}, func() error { p.Indexes[name] = true; return nil })
	return err
}

func (p *Pipeline) readMigrations(ctx context.Context, conn *pgx.Conn) error {
	if !p.Relations["schema_migrations"].Present() {
		return nil
	}
	err := pg.InTx(ctx, conn, p.Reads(), func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "select version::text from schema_migrations where version::text ~ '^(09[0-9]|10[0-9]|213|272)' order by 1")
		if err != nil {
			return err
		}
		p.Migrations, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if pg.SQLState(err) == pg.StateInsufficientPrivilege {
		return nil // doctor says so; nothing of the roll-up needs it
	}
	return err
}

// Reads are the settings of transactions that look at what the pipeline consists
// of, as the inspection's own.
func (p *Pipeline) Reads() pg.TxSettings {
	return pg.TxSettings{ReadOnly: true, NoClientCheck: !p.ClientCheck}
}

// Check returns nil for a database this program can work on, and otherwise a
// *problem.Error: what Multica says it is instead, or the first of Refusals.
func (p *Pipeline) Check() error {
	if err := p.Multica(); err != nil {
		return err
	}
	return p.Refused()
}

// Writable returns nil where the server may accept writes of ours, and otherwise the problem that it
// is a standby, or that somebody has switched them off. Target says which server it is.
func (p *Pipeline) Writable(target string) error {
	switch {
	case p.Standby:
		return pg.Unwritable(&pg.StandbyError{}, target)
	case p.Frozen != nil:
		return pg.Unwritable(&pg.FrozenError{Freeze: *p.Frozen}, target)
	}
	return nil
}

// Multica returns nil for a database that has Multica's pipeline in full, and
// otherwise a *problem.Error of kind Config that says what it is instead.
func (p *Pipeline) Multica() error {
	switch {
	case !p.Relations[Usage].Present() && !p.Relations[Hourly].Present():
		return problem.New(problem.Config,
			"name Multica's own database in the DSN; if its tables are in a schema of their own, run: alter role "+p.User+" set search_path = …",
			"database %q is not a Multica database: no table task_usage in search_path %s", p.Database, p.SearchPath)
	case !p.Relations[Hourly].Present():
		return problem.New(problem.Config,
			"upgrade Multica to v0.3.5 or newer, then start this again; older releases fill task_usage_daily by themselves",
			"database %q is of a Multica before v0.3.5: it has task_usage but no task_usage_hourly", p.Database)
	}
	if missing := p.Missing(); len(missing) > 0 {
		return problem.New(problem.Config,
			"migrations 101 and 102 have not been applied in full: start Multica's own migration, then: multica-rollup doctor",
			"the usage pipeline of database %q is incomplete: no %s", p.Database, strings.Join(missing, ", no "))
	}
	if p.Server < 150000 {
		return problem.New(problem.Config, "Multica needs PostgreSQL 15 or newer", "database %q runs on PostgreSQL %d", p.Database, p.Server/10000)
	}
	return nil
}
