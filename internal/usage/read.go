package usage

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/dsn"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

var statements = sqltext.Embedded(sqlFiles, pipeline.Parts)

// lockTimeout is how long a migration that has a table locked is waited for.
const lockTimeout = 5 * time.Second

// silence is how long the server waits for us between two statements: a million
// rows may be read meanwhile, and nobody waits for a transaction that only reads.
const silence = time.Minute

// Options say where usage is read.
type Options struct {
	Connector        *pg.Connector
	Known            pipeline.Known
	StatementTimeout time.Duration // for each statement
}

// reader is one reading: a transaction, and the report that it fills.
type reader struct {
	tx      pgx.Tx
	schema  string
	role    string
	columns map[string]columns // of names, by table
	report  *Report
}

// Read answers a query in one transaction, which sees one snapshot and writes
// nothing. Its errors are problems with a hint, or an *UnknownNameError.
func Read(ctx context.Context, o Options, q Query) (*Report, error) {
	conn, err := o.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer pg.Close(ctx, conn)
	p, err := pipeline.Inspect(ctx, conn, o.Known)
	if err != nil {
		return nil, o.Connector.Explain(err)
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	r := &reader{schema: p.Relations[pipeline.Hourly].Schema, role: p.User, report: &Report{
		Query: q, Costs: p.HasCosts(), Detached: map[string]*Tokens{}, Catalogs: map[Dimension]Catalog{}, NamesMissing: []string{},
	}}
	settings := pg.TxSettings{
		ReadOnly: true, RepeatableRead: true, LockTimeout: lockTimeout, StatementTimeout: o.StatementTimeout, NoClientCheck: !p.ClientCheck, Silence: silence,
	}
	err = pg.InTx(ctx, conn, settings, func(tx pgx.Tx) error {
		r.tx = tx
		return r.read(ctx, p)
	})
	if _, unknown := errors.AsType[*UnknownNameError](err); unknown {
		return nil, err
	}
	if pg.SQLState(err) == pg.StateQueryCanceled && ctx.Err() == nil {
		return nil, problem.Wrap(err, problem.Failed,
			"multica-rollup usage --days 7, or raise [walk] statement_timeout, or set MULTICA_ROLLUP_WALK_STATEMENT_TIMEOUT=5m",
			"%s: reading usage was cancelled, as after the statement timeout of %s", o.Connector.Target(), o.StatementTimeout)
	}
	if err != nil {
		return nil, o.Connector.Explain(err)
	}
	agents := r.columns["agent"]
	states := agents.readable("archived_at") || !agents["archived_at"].there
	states = states && (agents.readable("kind") || !agents["kind"].there)
	r.report.Rows = Fold(r.report.Rows, q, r.report.Catalogs, states)
	return r.report, nil
}

// statement returns an embedded statement on the pipeline's schema.
func (r *reader) statement(name string) string {
	return statements.Text(name, struct {
		Schema string
		Costs  bool
	}{pgx.Identifier{r.schema}.Sanitize(), r.report.Costs})
}

// bounds are what interval.sql returns of the interval's ends.
type bounds [4]time.Time

func (r *reader) read(ctx context.Context, p *pipeline.Pipeline) error {
	if _, err := r.tx.Exec(ctx, r.statement("settings")); err != nil {
		return fmt.Errorf("setting up the transaction: %w", err)
	}
	b, err := r.interval(ctx, p)
	if err != nil {
		return err
	}
	if err := r.readColumns(ctx); err != nil {
		return fmt.Errorf("reading what may be read: %w", err)
	}
	keep := map[Dimension][]string{}
	for _, s := range sources() {
		if keep[s.dimension], err = r.filter(ctx, s.dimension); err != nil {
			return err
		}
	}
	for _, provider := range r.report.Filters[Provider] {
		keep[Provider] = append(keep[Provider], strings.ToLower(provider))
	}
	keep[Model] = r.report.Filters[Model]
	groups, err := r.groups(ctx, b, keep)
	if err != nil {
		return fmt.Errorf("reading %s: %w", pipeline.Hourly, err)
	}
	if err := r.detached(ctx, b, keep); err != nil {
		return fmt.Errorf("reading usage without a runtime: %w", err)
	}
	if err := r.catalogs(ctx, groups); err != nil {
		return fmt.Errorf("reading names: %w", err)
	}
	r.report.Rows = groups
	return nil
}

// interval reads the clock and works out which instants are asked for.
func (r *reader) interval(ctx context.Context, p *pipeline.Pipeline) (b bounds, err error) {
	rep := r.report
	known := false
	if err := r.tx.QueryRow(ctx, r.statement("zone"), rep.Timezone).Scan(&known); err != nil {
		return b, fmt.Errorf("reading time zones: %w", err)
	}
	if !known {
		return b, UnknownZone(rep.Timezone)
	}
	var today string
	err = r.tx.QueryRow(ctx, r.statement("clock"), rep.Timezone).Scan(&today, &rep.Watermark, &rep.WatermarkLocal)
	if errors.Is(err, pgx.ErrNoRows) {
		return b, pipeline.NoStateRow(p.Database)
	}
	if err != nil {
		return b, fmt.Errorf("reading the state row: %w", err)
	}
	now, err := date(today)
	if err != nil {
		return b, fmt.Errorf("reading the clock: %w", err)
	}
	rep.From, rep.To = rep.When.Interval(now)
	if rep.To.Before(rep.From) {
		return b, problem.New(problem.Usage, "multica-rollup usage --since "+today,
			"--since %s is in the future: today is %s in %s", rep.When.Since, today, rep.Timezone)
	}
	err = r.tx.QueryRow(ctx, r.statement("interval"), rep.Timezone, rep.From.Format(DateLayout), rep.To.Format(DateLayout)).
		Scan(&rep.Start, &rep.End, &b[0], &b[1], &b[2], &b[3])
	if err != nil {
		return b, fmt.Errorf("working out the interval: %w", err)
	}
	return b, nil
}

// UnknownZone is the error for a time zone that not both PostgreSQL and Go know.
func UnknownZone(name string) error {
	return problem.New(problem.Usage, "multica-rollup usage --timezone Asia/Shanghai", "--timezone %s is not a known time zone", dsn.ShowWord(name))
}

func (r *reader) groups(ctx context.Context, b bounds, keep map[Dimension][]string) ([]Row, error) {
	q := r.report
	rows, err := r.tx.Query(ctx, r.statement("groups"),
		q.Timezone, q.From.Format(DateLayout), q.To.Format(DateLayout), b[0], b[1], b[2], b[3], q.Per != "",
		q.Has(Agent), q.Has(Project), q.Has(Runtime), q.Has(Provider), q.Has(Model),
		keep[Workspace], keep[Agent], keep[Project], keep[Runtime], keep[Provider], keep[Model])
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Row, error) {
		var g Row
		var agent, project, runtime, provider, model *string
		into := []any{&g.Period, &g.WorkspaceID, &agent, &project, &runtime, &provider, &model}
		numbers := slices.Concat(intoAll(&g.Tokens))
		if r.report.Costs {
			numbers = slices.Concat(numbers, []*big.Int{&g.Cost}, intoAll(&g.Uncosted))
		}
		texts := make([]string, len(numbers))
		for i := range texts {
			into = append(into, &texts[i])
		}
		if err := row.Scan(into...); err != nil {
			return g, err
		}
		if err := parse(texts, numbers); err != nil {
			return g, err
		}
		if !r.report.Costs {
			g.Uncosted.Add(&g.Tokens)
		}
		g.AgentID, g.ProjectID, g.RuntimeID = orEmpty(agent), orEmpty(project), orEmpty(runtime)
		g.Provider, g.Model = orEmpty(provider), orEmpty(model)
		return g, nil
	})
}

func intoAll(t *Tokens) []*big.Int {
	kinds := t.kinds()
	return kinds[:]
}

// parse reads whole numbers of any size.
func parse(texts []string, into []*big.Int) error {
	for i, text := range texts {
		if _, ok := into[i].SetString(text, 10); !ok {
			return fmt.Errorf("%q is not a whole number", text)
		}
	}
	return nil
}

// detached reads the usage that is in no bucket. It has no runtime, so a filter by runtime leaves none.
func (r *reader) detached(ctx context.Context, b bounds, keep map[Dimension][]string) error {
	q := r.report
	can := false
	if err := r.tx.QueryRow(ctx, r.statement("detachable"), r.schema).Scan(&can); err != nil || !can || keep[Runtime] != nil {
		return err
	}
	rows, err := r.tx.Query(ctx, r.statement("detached"),
		q.Timezone, q.From.Format(DateLayout), q.To.Format(DateLayout), b[0], b[1], b[2], b[3],
		keep[Workspace], keep[Agent], keep[Project], keep[Provider], keep[Model])
	if err != nil {
		return err
	}
	var id string
	texts := make([]string, 4)
	_, err = pgx.ForEachRow(rows, []any{&id, &texts[0], &texts[1], &texts[2], &texts[3]}, func() error {
		t := &Tokens{}
		q.Detached[id] = t
		return parse(texts, intoAll(t))
	})
	return err
}

// catalogs reads what the things in groups are called.
func (r *reader) catalogs(ctx context.Context, groups []Row) error {
	for _, s := range sources() {
		if s.dimension != Workspace && !r.report.Has(s.dimension) {
			continue
		}
		ids := map[string]bool{}
		for i := range groups {
			ids[groups[i].id(s.dimension)] = true
		}
		if s.dimension == Workspace {
			for id := range r.report.Detached {
				ids[id] = true
			}
		}
		delete(ids, "")
		list := make([]string, 0, len(ids))
		for id := range ids {
			list = append(list, id)
		}
		catalog, err := r.catalog(ctx, s, list)
		if err != nil {
			return err
		}
		r.report.Catalogs[s.dimension] = catalog
	}
	return nil
}
