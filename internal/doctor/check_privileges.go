package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pipeline"
)

// lack is what our role misses on one object.
type lack struct {
	kind, schema, name, privileges string
}

func (l lack) String() string {
	if l.kind == "schema" {
		return "no usage on schema " + quoteIdent(l.schema)
	}
	return fmt.Sprintf("no %s on %s %s.%s", strings.ToLower(l.privileges), l.kind, quoteIdent(l.schema), l.name)
}

func (l lack) grant(role string) string {
	switch l.kind {
	case "schema":
		return "grant usage on schema " + quoteIdent(l.schema) + " to " + role
	case "function":
		return "grant execute on function " + quoteIdent(l.schema) + "." + l.name + " to " + role
	}
	return "grant " + l.privileges + " on " + quoteIdent(l.schema) + "." + quoteIdent(l.name) + " to " + role
}

// wide is a table that our role may read whole, by a grant of its own, though it needs a few columns.
type wide struct {
	schema, name string
	more         int64  // columns besides those to keep
	keep         string // the list of columns that it needs, or has been granted one by one
}

// tooMuch offers to take what is not needed: agents' environments hold keys,
// and tasks prompts and results.
func (e *Env) tooMuch(wides []wide) Finding {
	role := quoteIdent(e.pipe.User)
	var statements, lines []string
	for _, w := range wides {
		table := quoteIdent(w.schema) + "." + quoteIdent(w.name)
		statements = append(statements, "revoke select on "+table+" from "+role, "grant select ("+w.keep+") on "+table+" to "+role)
		lines = append(lines, fmt.Sprintf("table %s: it needs %s, and may read %s more", table, w.keep, count(w.more, "column", "columns")))
	}
	return warning(e.sql(strings.Join(statements, "; ")), "role %s may read whole tables of which it needs few columns: agents' environments, prompts and results are in the others", e.pipe.User).
		withAll(lines).with("role-names.sql grants the names that usage shows")
}

// forReports are tables that only reports read. An upgrade may bring
// sys_cron_executions after the role was made.
var forReports = []string{"schema_migrations", "sys_cron_executions"}

// privilegesCheck: everything that run, backfill, verify, status and doctor do.
func privilegesCheck() Check {
	return Check{ID: "privileges", Title: "the role may do what the roll-up does", Needs: []string{"database"}, Run: func(ctx context.Context, env *Env) Finding {
		var lacks []lack
		var wides []wide
		err := env.read(ctx, func(tx pgx.Tx) error {
			tables, columns := pipeline.NeededColumns()
			rows, err := tx.Query(ctx, query("privileges"), tables, columns)
			if err != nil {
				return err
			}
			lacks, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (l lack, err error) {
				return l, r.Scan(&l.kind, &l.schema, &l.name, &l.privileges)
			})
			if err != nil {
				return err
			}
			rows, err = tx.Query(ctx, query("wide"), tables, columns)
			if err != nil {
				return err
			}
			wides, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (w wide, err error) {
				return w, r.Scan(&w.schema, &w.name, &w.more, &w.keep)
			})
			return err
		})
		if err != nil {
			return env.unknown(err)
		}
		if len(lacks) == 0 && len(wides) > 0 {
			return env.tooMuch(wides)
		}
		if len(lacks) == 0 {
			return well("role %s has what it needs", env.pipe.User)
		}
		var grants, lines []string
		for _, l := range lacks {
			grants = append(grants, l.grant(quoteIdent(env.pipe.User)))
			lines = append(lines, l.String())
		}
		f := critical(env.sql(strings.Join(grants, "; ")), "role %s lacks %s", env.pipe.User, count(int64(len(lacks)), "privilege", "privileges"))
		if !slices.ContainsFunc(lacks, func(l lack) bool { return !slices.Contains(forReports, l.name) }) {
			f.Verdict = Warning
			f = f.with("the roll-up works without; what the reports say of migrations and other schedulers may be wrong")
		}
		return f.withAll(lines).with("role.sql, which the package brings, makes a role with all of them and no more")
	}}
}
