package doctor

import (
	"context"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// reachCheck: the database answers and lets us in.
func reachCheck() Check {
	return Check{ID: "reach", Title: "the database can be reached", Needs: []string{"config"}, Run: func(ctx context.Context, env *Env) Finding {
		if env.Connector == nil {
			return critical(env.command("config check"), "the DSN cannot be used")
		}
		conn, err := env.Connector.Connect(ctx)
		if err != nil {
			return critical(env.reachFix(err), "%s", env.Connector.Explain(err).Error())
		}
		env.conn = conn
		return well("%s answers role %s", env.Connector.Target(), env.Connector.User())
	}}
}

// reachFix names the statement or command where the server's answer leaves only one.
func (e *Env) reachFix(err error) Fix {
	hint := problem.HintOf(err)
	role, database := quoteIdent(e.Connector.User()), e.Connector.Target()
	database = database[strings.LastIndex(database, "/")+1:]
	switch pg.SQLState(err) {
	case pg.StateInsufficientPrivilege:
		return Fix{SQL: "grant connect on database " + quoteIdent(database) + " to " + role, Database: database}
	case pg.StateInvalidAuthorization:
		if strings.HasPrefix(hint, "ALTER ROLE") {
			return Fix{SQL: "alter role " + role + " login", Database: database}
		}
	case pg.StateTooManyConnections:
		if strings.Contains(err.Error(), "for role") {
			return Fix{SQL: "alter role " + role + " connection limit -1", Database: database}
		}
	case "":
		if strings.Contains(hint, "systemctl status postgresql") {
			return Fix{Command: "systemctl start postgresql"}
		}
	}
	if hint == "" {
		hint = "psql with the same DSN must get in"
	}
	return Fix{Advice: hint}
}
