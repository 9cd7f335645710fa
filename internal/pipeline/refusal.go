package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// Cause is why nothing may be rolled up, or judged, in a database that has all tables.
type Cause string

// The causes, in the order in which Refusals lists them.
const (
	Scattered   Cause = "schemas"      // the tables are found in more than one schema
	NoTable     Cause = "no table"     // a relation is a view or the like
	Unreadable  Cause = "unreadable"   // our role may not read a table, or a column that we need
	RowSecurity Cause = "row security" // row-level security may hide rows from our role
	Unkeyed     Cause = "key"          // the hourly table is not unique by the seven columns of a bucket
)

// Refusal is one thing for which nothing may be written. What is not seen would
// be rolled up as zero, and without its key the hourly table counts a bucket twice.
type Refusal struct {
	Cause Cause
	Kind  problem.Kind
	Text  string // one line
	SQL   string // what to type into psql; "" where no statement can know the rest
	Who   string // who has to type it, and what else would do
	Words string // what to do where SQL is ""
	Err   error  // what the server said in the middle of the work; may be nil
}

// Error returns the text.
func (r *Refusal) Error() string { return r.Text }

// Unwrap returns what the server said, nil where it was not asked.
func (r *Refusal) Unwrap() error { return r.Err }

// Blind says whether what is read of this database may be less than there is.
func (r *Refusal) Blind() bool { return r.Cause != Unkeyed }

// Hint returns what to type. All of it can be pasted into psql where there is a statement.
func (r *Refusal) Hint() string {
	if r.SQL == "" {
		return r.Words
	}
	return r.SQL + "; -- in psql, " + r.Who
}

// Problem returns the refusal as the error that a command ends with.
func (r *Refusal) Problem() error {
	return problem.Wrap(r, r.Kind, r.Hint(), "%s", r.Text)
}

// Refusals lists all for which nothing may be written, of the tables that are there.
func (p *Pipeline) Refusals() []*Refusal {
	var all []*Refusal
	for _, find := range []func() *Refusal{p.scattered, p.noTable, p.unreadable, p.rowSecurity, p.unkeyed} {
		if r := find(); r != nil {
			all = append(all, r)
		}
	}
	return all
}

// Refusal returns the first refusal, nil where there is none.
func (p *Pipeline) Refusal() *Refusal {
	if all := p.Refusals(); len(all) > 0 {
		return all[0]
	}
	return nil
}

// Refused returns the problem of the first refusal, nil where there is none.
func (p *Pipeline) Refused() error {
	if r := p.Refusal(); r != nil {
		return r.Problem()
	}
	return nil
}

// IsRefusal says whether err is a refusal, or the server's own of a statement
// whose rows it would have filtered: then nothing more may be written.
func IsRefusal(err error) bool {
	_, ok := errors.AsType[*Refusal](err)
	return ok || pg.HidesRows(err)
}

// Recheck reads again what Refusals go by, and returns the problem of the first
// of them; nil where there is none. Asked at the end of a transaction that has
// written, it sees what was changed before the tables were locked by that.
func (p *Pipeline) Recheck(ctx context.Context, q pg.Querier) error {
	found, err := p.relations(ctx, q, tables)
	if err != nil {
		return fmt.Errorf("looking at the pipeline's tables again: %w", err)
	}
	now := *p
	now.Relations = found
	return now.Refused()
}

// Explained returns a problem with a statement to type for the server's refusal
// of a statement whose rows it would have filtered, and any other error as it is.
func (p *Pipeline) Explained(ctx context.Context, conn *pgx.Conn, err error) error {
	if !pg.HidesRows(err) {
		return err
	}
	refused, ok := errors.AsType[*Refusal](pg.InTx(ctx, conn, p.Reads(), func(tx pgx.Tx) error { return p.Recheck(ctx, tx) }))
	if !ok {
		return err // it is over, or the database does not answer: the server's own words do
	}
	refused.Err = err
	return refused.Problem()
}

// which returns the tables, of those that are there, for which it is so.
func (p *Pipeline) which(so func(Relation) bool) []Relation {
	var list []Relation
	for _, name := range tables {
		if r := p.Relations[name]; r.Present() && so(r) {
			list = append(list, r)
		}
	}
	return list
}

func (p *Pipeline) scattered() *Refusal {
	bySchema := map[string][]string{}
	var schemas []string // in the order of the tables
	for _, r := range p.which(func(Relation) bool { return true }) {
		if _, seen := bySchema[r.Schema]; !seen {
			schemas = append(schemas, r.Schema)
		}
		bySchema[r.Schema] = append(bySchema[r.Schema], r.Name)
	}
	if len(schemas) < 2 {
		return nil
	}
	// Most are where they belong.
	slices.SortStableFunc(schemas, func(a, b string) int { return len(bySchema[b]) - len(bySchema[a]) })
	home := schemas[0]
	text := fmt.Sprintf("the tables of the pipeline are found in more than one schema: %s in %s",
		strings.Join(bySchema[home], ", "), pg.Quote(home))
	for _, other := range schemas[1:] {
		text += fmt.Sprintf("; %s in %s", strings.Join(bySchema[other], ", "), pg.Quote(other))
	}
	r := &Refusal{Cause: Scattered, Kind: problem.Config, Text: text}
	if len(p.Homes) > 0 && !slices.Contains(p.Homes, home) {
		home = p.Homes[0] // where the search_path would find all of them
	}
	path := pg.Quote(home)
	if home != "public" {
		path += ", public"
	}
	switch {
	case !slices.Contains(p.Homes, home):
		var moves []string
		for _, other := range schemas[1:] {
			for _, name := range bySchema[other] {
				moves = append(moves, "alter table "+p.Relations[name].qualified()+" set schema "+pg.Quote(schemas[0]))
			}
		}
		r.SQL, r.Who = strings.Join(moves, "; "), "as the tables' owner, if these are Multica's own tables"
	case p.PathInDSN:
		r.Words = "set search_path=" + home + " in the DSN, which names another now: " + p.SearchPath
	default:
		r.SQL = "alter role " + pg.Quote(p.User) + " in database " + pg.Quote(p.Database) + " set search_path = " + path
		r.Who = "as role " + pg.Quote(p.User) + " itself or a superuser"
	}
	return r
}

// kinds are the words for pg_class.relkind.
var kinds = map[string]string{
	"v": "a view", "m": "a materialized view", "f": "a foreign table", "i": "an index", "I": "an index", "S": "a sequence", "c": "a type",
}

func (p *Pipeline) noTable() *Refusal {
	list := p.which(func(r Relation) bool { return r.Kind != "r" && r.Kind != "p" })
	if len(list) == 0 {
		return nil
	}
	var texts, looks []string
	for _, r := range list {
		kind, known := kinds[r.Kind]
		if !known {
			kind = "of kind " + r.Kind
		}
		texts = append(texts, r.qualified()+" is "+kind)
		looks = append(looks, `\d+ `+r.qualified())
	}
	return &Refusal{
		Cause: NoTable, Kind: problem.Config,
		Text:  strings.Join(texts, ", ") + ", where the pipeline has a table",
		Words: strings.Join(looks, ` \\ `) + ` \\ -- in psql, shows what it is; put Multica's own table back under this name`,
	}
}

func (p *Pipeline) unreadable() *Refusal {
	list := p.which(func(r Relation) bool { return len(r.Unreadable) > 0 })
	if len(list) == 0 {
		return nil
	}
	var texts []string
	for _, r := range list {
		text := r.qualified()
		if n := len(r.Unreadable); n < len(r.Columns) && n < len(readable(r.Name, p.stages)) {
			text += " (" + strings.Join(r.Unreadable, ", ") + ")"
		}
		texts = append(texts, text)
	}
	return &Refusal{
		Cause: Unreadable, Kind: problem.Permission,
		Text: fmt.Sprintf("role %s may not read %s", pg.Quote(p.User), strings.Join(texts, ", ")),
		SQL:  grants(list, p.User),
		Who:  "as " + owners(list),
	}
}

// grants lets a role read the tables: whole, or the columns that it needs of those of which these are few.
func grants(list []Relation, role string) string {
	var whole []Relation
	var all []string
	for _, r := range list {
		if !Few(r.Name) {
			whole = append(whole, r)
			continue
		}
		all = append(all, "grant select ("+strings.Join(r.Unreadable, ", ")+") on "+r.qualified()+" to "+pg.Quote(role))
	}
	if len(whole) > 0 {
		all = append([]string{"grant select on " + names(whole) + " to " + pg.Quote(role)}, all...)
	}
	return strings.Join(all, "; ")
}

func (p *Pipeline) rowSecurity() *Refusal {
	list := p.which(func(r Relation) bool { return r.RowSecurity })
	if len(list) == 0 {
		return nil
	}
	r := &Refusal{
		Cause: RowSecurity, Kind: problem.Permission,
		Text: fmt.Sprintf("row-level security may hide rows of %s from role %s, and what is not seen would be rolled up as zero", names(list), pg.Quote(p.User)),
	}
	alter := func(what string) string {
		var all []string
		for _, r := range list {
			all = append(all, "alter table "+r.qualified()+" "+what)
		}
		return strings.Join(all, "; ")
	}
	if !slices.ContainsFunc(list, func(r Relation) bool { return !r.Owned }) {
		r.SQL, r.Who = alter("no force row level security"), "as "+owners(list)
		return r
	}
	r.SQL = "alter role " + pg.Quote(p.User) + " bypassrls"
	r.Who = "as a superuser; where there is none, as " + owners(list) + ": " + alter("disable row level security")
	return r
}

func (p *Pipeline) unkeyed() *Refusal {
	hourly := p.Relations[Hourly]
	if !hourly.Present() || hourly.Keyed {
		return nil
	}
	return &Refusal{
		Cause: Unkeyed, Kind: problem.Config,
		Text: hourly.qualified() + " is not unique by its seven columns with nulls not distinct: usage without a project would be counted twice",
		SQL:  p.KeyStatement(Hourly),
		Who:  "as " + owners([]Relation{hourly}) + "; of duplicate rows the newest stays; then: multica-rollup verify --repair",
	}
}

// KeyStatement returns what gives the hourly table or the queue its unique key,
// as one transaction for psql. Of duplicate rows the newest stays: each was
// computed from all raw usage of its bucket, so none is a part of another.
func (p *Pipeline) KeyStatement(table string) string {
	name := p.Relations[table].qualified()
	constraint, newest := "uq_task_usage_hourly_key", "updated_at desc, event_count desc, ctid desc"
	if table == Dirty {
		constraint, newest = "uq_task_usage_hourly_dirty_key", "enqueued_at desc, ctid desc"
	}
	index := constraint
	if schema := p.Relations[table].Schema; schema != "" {
		index = pg.Quote(schema) + "." + constraint
	}
	columns := strings.Join(keyColumns(), ", ")
	return strings.Join([]string{
		"begin",
		"lock table " + name + " in access exclusive mode",
		"delete from " + name + " where (tableoid, ctid) in (select tableoid, ctid from (select tableoid, ctid, row_number() over (partition by " +
			columns + " order by " + newest + ") as n from " + name + ") d where n > 1)",
		"alter table " + name + " drop constraint if exists " + constraint,
		"drop index if exists " + index, // where it was made as a mere index
		"alter table " + name + " add constraint " + constraint + " unique nulls not distinct (" + columns + ")",
		"commit",
	}, "; ")
}

// qualified returns the name as psql takes it anywhere.
func (r Relation) qualified() string {
	if !r.Present() {
		return pg.Quote(r.Name)
	}
	return pg.Quote(r.Schema) + "." + pg.Quote(r.Name)
}

func names(list []Relation) string {
	var all []string
	for _, r := range list {
		all = append(all, r.qualified())
	}
	return strings.Join(all, ", ")
}

// owners names who owns the tables.
func owners(list []Relation) string {
	var all []string
	for _, r := range list {
		if owner := pg.Quote(r.Owner); !slices.Contains(all, owner) {
			all = append(all, owner)
		}
	}
	if len(list) == 1 {
		return "its owner " + all[0]
	}
	return "their owner " + strings.Join(all, ", ")
}
