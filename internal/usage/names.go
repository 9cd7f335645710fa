package usage

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// source is the table that names the things of a dimension. This list is what
// every privilege, grant and statement about names is made from.
type source struct {
	dimension Dimension
	table     string
	what      string // the things, in plain words
	columns   []string
	name      string // the column of the name
}

func sources() []source {
	return []source{
		{Workspace, "workspace", "workspaces", []string{"id", "name", "slug"}, "name"},
		{Agent, "agent", "agents", []string{"id", "workspace_id", "name", "kind", "archived_at"}, "name"},
		{Project, "project", "projects", []string{"id", "title"}, "title"},
		{Runtime, "agent_runtime", "runtimes", []string{"id", "name"}, "name"},
	}
}

func sourceOf(d Dimension) (source, bool) {
	all := sources()
	i := slices.IndexFunc(all, func(s source) bool { return s.dimension == d })
	if i < 0 {
		return source{}, false
	}
	return all[i], true
}

// columns says of a source's columns whether they are there and may be read.
type columns map[string]struct{ there, readable bool }

func (c columns) readable(name string) bool { return c[name].readable }

// missing are the columns that are there and may not be read.
func (s source) missing(c columns) (missing []string) {
	for _, name := range s.columns {
		if c[name].there && !c[name].readable {
			missing = append(missing, name)
		}
	}
	return missing
}

// grant is what lets role read the source's columns.
func (s source) grant(c columns, schema, role string) string {
	var there []string
	for _, name := range s.columns {
		if c[name].there {
			there = append(there, name)
		}
	}
	return fmt.Sprintf("grant select (%s) on %s to %s", strings.Join(there, ", "),
		pgx.Identifier{schema, s.table}.Sanitize(), pgx.Identifier{role}.Sanitize())
}

// readColumns finds out which columns of names may be read.
func (r *reader) readColumns(ctx context.Context) error {
	var tables, names []string
	for _, s := range sources() {
		for _, column := range s.columns {
			tables, names = append(tables, s.table), append(names, column)
		}
	}
	rows, err := r.tx.Query(ctx, r.statement("readable"), r.schema, tables, names)
	if err != nil {
		return err
	}
	r.columns = map[string]columns{}
	var table, column string
	var there, readable bool
	_, err = pgx.ForEachRow(rows, []any{&table, &column, &there, &readable}, func() error {
		if r.columns[table] == nil {
			r.columns[table] = columns{}
		}
		r.columns[table][column] = struct{ there, readable bool }{there, readable}
		return nil
	})
	return err
}

// namesStatement is names.sql for a source, with the columns that may be read.
func (r *reader) namesStatement(s source) string {
	c := r.columns[s.table]
	column := func(name string) string {
		if name == "" || !c.readable(name) {
			return "null"
		}
		return "t." + pgx.Identifier{name}.Sanitize()
	}
	of := func(name string) string {
		if slices.Contains(s.columns, name) {
			return column(name)
		}
		return "null"
	}
	return strings.NewReplacer(
		":table", pgx.Identifier{s.table}.Sanitize(), ":name", column(s.name), ":slug", of("slug"),
		":kind", of("kind"), ":archived_at", of("archived_at"),
	).Replace(r.statement("names"))
}

// named is a thing with its id.
type named struct {
	id string
	Thing
}

func (r *reader) things(ctx context.Context, s source, ids, names []string) ([]named, error) {
	rows, err := r.tx.Query(ctx, r.namesStatement(s), ids, names)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (named, error) {
		var n named
		var name, slug, kind *string
		err := row.Scan(&n.id, &name, &slug, &kind, &n.Archived)
		n.Name, n.Slug, n.Kind = orEmpty(name), orEmpty(slug), orEmpty(kind)
		return n, err
	})
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// catalog reads what is known of the things with these ids. What may not be
// read is noted, with the grant that lets it.
func (r *reader) catalog(ctx context.Context, s source, ids []string) (Catalog, error) {
	c := r.columns[s.table]
	if missing := s.missing(c); len(missing) > 0 {
		for _, name := range missing {
			r.report.NamesMissing = append(r.report.NamesMissing, s.table+"."+name)
		}
		r.report.Grants = append(r.report.Grants, s.grant(c, r.schema, r.role))
	}
	out := Catalog{Complete: c.readable("id"), Things: map[string]Thing{}}
	if !out.Complete || len(ids) == 0 {
		return out, nil
	}
	things, err := r.things(ctx, s, ids, []string{})
	for _, t := range things {
		out.Things[t.id] = t.Thing
	}
	return out, err
}

// UnknownNameError is a filter's value that is the name of nothing.
type UnknownNameError struct {
	Dimension Dimension
	Value     string
}

// Error names the flag, not the value: what was typed may be no name at all.
func (e *UnknownNameError) Error() string { return fmt.Sprintf("--%s names nothing", e.Dimension) }

var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// filter returns the ids that a filter's values stand for, nil for no filter.
// A name may be that of several things.
func (r *reader) filter(ctx context.Context, d Dimension) ([]string, error) {
	values := r.report.Filters[d]
	if len(values) == 0 {
		return nil, nil
	}
	s, _ := sourceOf(d)
	ids, names := []string{}, []string{}
	for _, v := range values {
		if uuidForm.MatchString(v) {
			ids = append(ids, strings.ToLower(v))
		} else {
			names = append(names, v)
		}
	}
	if len(names) == 0 {
		return ids, nil
	}
	c := r.columns[s.table]
	if !c.readable("id") || !c.readable(s.name) {
		return nil, problem.New(problem.Permission, s.grant(c, r.schema, r.role)+"; or give the id",
			"--%s is not an id, and the names of %s cannot be read by role %s", d, s.what, r.role)
	}
	things, err := r.things(ctx, s, []string{}, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		found := false
		for _, t := range things {
			if t.Name == name || t.Slug == name {
				ids, found = append(ids, t.id), true
			}
		}
		if !found {
			return nil, &UnknownNameError{d, name}
		}
	}
	return ids, nil
}
