package doctor

import (
	"context"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// readOnlyCheck: an administrator, or a managed service whose disk is full, has switched writing off. It is
// respected: each run ends with exit code 75 and tries again.
func readOnlyCheck() Check {
	return Check{ID: "read-only", Title: "the database accepts writes", Needs: []string{"database"}, Run: func(_ context.Context, env *Env) Finding {
		f := env.pipe.Frozen
		if f == nil {
			return well("default_transaction_read_only is off")
		}
		return critical(env.lift(f), "%s", f.String()).
			with("each run ends with exit code 75 and writes nothing; the next one tries again").
			with("there may be a reason, such as a full disk: look for it first")
	}}
}

// lift is how a freeze is lifted.
func (e *Env) lift(f *pg.Freeze) Fix {
	switch list := f.Lift(); len(list) {
	case 0:
		return Fix{Advice: problem.HintOf(e.Connector.Explain(&pg.FrozenError{Freeze: *f}))}
	case 1:
		return e.sql(list[0])
	default:
		// ALTER SYSTEM is refused beside another statement.
		command := "psql -d " + shellWord(e.pipe.Database)
		for _, sql := range list {
			command += " -c " + shellWord(sql)
		}
		return Fix{Command: strings.TrimSpace(command)}
	}
}
