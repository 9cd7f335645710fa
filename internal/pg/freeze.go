package pg

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Freeze is who has set default_transaction_read_only on a server that is no standby: an administrator, or a
// managed service whose disk is full. It is a decision, and not ours to override.
type Freeze struct {
	Source         string // pg_settings.source; "" where it is not known
	File           string // where Source is a configuration file; "" where our role may not see it
	Line           int
	Role, Database string // whose settings they may be
}

// ReadFreeze returns who has frozen the database, nil where nobody has.
func ReadFreeze(ctx context.Context, q Querier) (*Freeze, error) {
	var f Freeze
	err := q.QueryRow(ctx, statement("freeze")).Scan(&f.Source, &f.File, &f.Line, &f.Role, &f.Database)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading where default_transaction_read_only was set: %w", err)
	}
	return &f, nil
}

// Ours says whether the setting comes with our own connection: no waiting lifts it.
func (f Freeze) Ours() bool { return f.Source == "client" || f.Source == "environment variable" }

// String says that no writes are accepted, and for which setting of whom.
func (f Freeze) String() string {
	const accepts = "the server accepts no writes: default_transaction_read_only is on"
	switch f.Source {
	case "":
		return "the server accepts no writes: the transaction is read-only"
	case "database":
		return accepts + " for database " + Quote(f.Database)
	case "user":
		return accepts + " for role " + Quote(f.Role)
	case "database user":
		return accepts + " for role " + Quote(f.Role) + " in database " + Quote(f.Database)
	case "global":
		return accepts + " for all roles"
	case "client", "environment variable":
		return accepts + " by the DSN, its service file or PGOPTIONS"
	case "session":
		return accepts + " on a session that a pooler hands on"
	}
	text := accepts + " in the server's configuration"
	switch {
	case f.Source == "command line":
		text = accepts + " on the server's command line"
	case f.File != "":
		text += fmt.Sprintf(" (%s, line %d)", f.File, f.Line)
	}
	return text
}

// Lift returns the statements that lift it, each to be sent by itself; none where that takes an editor. They
// work in psql on the frozen database, too: its own transactions are read-only by default.
func (f Freeze) Lift() []string {
	alter := ""
	switch f.Source {
	case "database":
		alter = "alter database " + Quote(f.Database)
	case "user":
		alter = "alter role " + Quote(f.Role)
	case "database user":
		alter = "alter role " + Quote(f.Role) + " in database " + Quote(f.Database)
	case "global":
		alter = "alter role all"
	case "configuration file":
		if f.inFile() {
			return nil
		}
		return []string{"alter system reset default_transaction_read_only", "select pg_reload_conf()"}
	default:
		return nil
	}
	return []string{"begin read write; " + alter + " reset default_transaction_read_only; commit"}
}

// inFile says whether it is known to be in a file that only an editor changes.
func (f Freeze) inFile() bool { return f.File != "" && !autoConf(f.File) }

// Hint says what to type where, and that it is tried again.
func (f Freeze) Hint() string {
	const again = "; it may have a reason, such as a full disk, and the next run tries again"
	if list := f.Lift(); list != nil {
		text := ""
		for _, sql := range list {
			text += sql + "; "
		}
		switch {
		case f.Source == "configuration file" && f.File == "":
			return text + "-- in psql, as a superuser; where postgresql.conf sets it, remove it there before" + again
		case f.Source == "database":
			return text + "-- in psql, as the database's owner or a superuser" + again
		}
		return text + "-- in psql, as a superuser" + again
	}
	switch f.Source {
	case "client", "environment variable":
		return "remove default_transaction_read_only from the DSN, its service file or PGOPTIONS: the roll-up writes"
	case "session":
		return "have the pooler reset its sessions: server_reset_query = DISCARD ALL, and RECONNECT on PgBouncer's console"
	case "command line":
		return "restart the server without -c default_transaction_read_only=on" + again
	case "":
		return "show default_transaction_read_only; -- in psql with the same DSN" + again
	}
	return fmt.Sprintf("remove default_transaction_read_only from %s (line %d), then: select pg_reload_conf(); -- in psql, as a superuser%s", f.File, f.Line, again)
}

// autoConf says whether a file is the one that ALTER SYSTEM writes.
func autoConf(file string) bool {
	const name = "postgresql.auto.conf"
	return len(file) >= len(name) && file[len(file)-len(name):] == name
}

// FrozenError: a transaction that writes was begun on a server that is no standby and accepts no writes.
type FrozenError struct{ Freeze Freeze }

func (e *FrozenError) Error() string { return e.Freeze.String() }

// MayNotWrite says whether a failure means that nothing may be written on this connection, what failed neither.
func MayNotWrite(err error) bool {
	if _, frozen := errors.AsType[*FrozenError](err); frozen {
		return true
	}
	if _, split := errors.AsType[*SplitError](err); split {
		return true
	}
	_, standby := errors.AsType[*StandbyError](err)
	return standby || SQLState(err) == StateReadOnlyTransaction
}
