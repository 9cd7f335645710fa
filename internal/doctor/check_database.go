package doctor

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
)

// databaseCheck: a DSN that names the server's default database finds nothing there.
func databaseCheck() Check {
	return Check{ID: "database", Title: "it is Multica's database", Needs: []string{"pooler"}, Run: func(ctx context.Context, env *Env) Finding {
		pipe, err := pipeline.Inspect(ctx, env.conn, env.Known)
		if err != nil {
			return env.unknown(err)
		}
		env.pipe = pipe
		var tables int
		if err := env.get(ctx, []any{&tables}, "select count(*) from pg_class where relname = 'task_usage' and relkind in ('r', 'p')"); err != nil {
			return env.unknown(err)
		}
		if tables > 0 {
			return well("database %s of PostgreSQL %d", pipe.Database, pipe.Server/10000)
		}
		right, err := env.multicaDatabases(ctx)
		if err != nil {
			return env.unknown(err)
		}
		advice := "name Multica's own database in the DSN; psql -l lists what there is"
		if len(right) == 1 {
			advice = fmt.Sprintf("name database %s in the DSN of %s", right[0], orDefault(env.Config.Path, env.Config.Origin["dsn"]))
		}
		f := critical(Fix{Advice: advice}, "database %s is not Multica's: it has no table task_usage in any schema", pipe.Database)
		for _, name := range right {
			f = f.with("database %s of the same server has it", name)
		}
		return f
	}}
}

// otherDatabases bounds how many databases of a server are looked into.
const otherDatabases = 12

// multicaDatabases names the databases of this server that hold task_usage, as far as we may look.
func (e *Env) multicaDatabases(ctx context.Context) ([]string, error) {
	names, err := e.list(ctx, query("databases"), otherDatabases)
	if err != nil {
		return nil, err
	}
	var right []string
	for _, name := range names {
		var has bool
		err := e.elsewhere(ctx, name, func(conn pg.Querier) error {
			return conn.QueryRow(ctx, "select exists (select from pg_class where relname = 'task_usage' and relkind in ('r', 'p'))").Scan(&has)
		})
		if err == nil && has { // one that does not let us in cannot be recommended
			right = append(right, name)
		}
	}
	return right, nil
}

// elsewhere runs fn on another database of the same server, with the same login.
func (e *Env) elsewhere(ctx context.Context, database string, fn func(pg.Querier) error) error {
	conn, err := e.Connector.InDatabase(database).Connect(ctx)
	if err != nil {
		return err
	}
	defer pg.Close(ctx, conn)
	return e.readOn(ctx, conn, func(tx pgx.Tx) error { return fn(tx) })
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
