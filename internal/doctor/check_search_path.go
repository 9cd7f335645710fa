package doctor

import (
	"context"

	"github.com/multica-rollup/multica-rollup/internal/pipeline"
)

// searchPathCheck: tables and functions are found by their bare names, the database's own functions among them.
func searchPathCheck() Check {
	return Check{ID: "search-path", Title: "the search_path finds Multica's tables", Needs: []string{"privileges"}, Run: func(ctx context.Context, env *Env) Finding {
		if env.pipe.Relations[pipeline.Usage].Present() {
			return well("tables are found in schema %s", env.pipe.Relations[pipeline.Usage].Schema)
		}
		schemas, err := env.list(ctx, query("schemas"))
		if err != nil {
			return env.unknown(err)
		}
		if len(schemas) == 0 {
			return well("nothing to find")
		}
		role := quoteIdent(env.pipe.User)
		return critical(env.sql("alter role "+role+" in database "+quoteIdent(env.pipe.Database)+" set search_path = "+quoteIdent(schemas[0])+", public"),
			"search_path (%s) does not find task_usage, which is in schema %s", env.pipe.SearchPath, schemas[0])
	}}
}
