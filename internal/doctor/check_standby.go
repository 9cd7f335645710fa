package doctor

import "context"

// standbyCheck: the roll-up writes.
func standbyCheck() Check {
	return Check{ID: "standby", Title: "the server is the primary", Needs: []string{"database"}, Run: func(_ context.Context, env *Env) Finding {
		if env.pipe.Standby {
			return critical(Fix{Advice: "list every server of the cluster in the DSN (host=a,b) with target_session_attrs=read-write"},
				"%s is a read-only standby: the roll-up has to be written on the primary", env.Connector.Target())
		}
		return well("the server accepts writes")
	}}
}
