package lab

import (
	"context"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
)

// Subscribe has the subscriber's task_usage and agent_task_queue be fed from those of the
// publisher, another database of the server, by logical replication. The server needs
// wal_level = logical. What the subscriber has already stays.
func (s *Server) Subscribe(ctx context.Context, publisher, subscriber, name string) error {
	base, err := url.Parse(s.DSN(publisher))
	if err != nil {
		return err
	}
	q := base.Query()
	conninfo := fmt.Sprintf("host=%s port=%s user=%s dbname=%s", q.Get("host"), q.Get("port"), base.User.Username(), publisher)
	quoted := pgx.Identifier{name}.Sanitize()
	for _, step := range []struct{ database, sql string }{
		{publisher, "create publication " + quoted + " for table task_usage, agent_task_queue"},
		// Made by the subscription itself, in the same server, it would wait for its own transaction.
		{publisher, "select pg_create_logical_replication_slot('" + name + "', 'pgoutput')"},
		{subscriber, "create subscription " + quoted + " connection '" + conninfo + "' publication " + quoted + " with (create_slot = false, copy_data = false)"},
	} {
		conn, err := pgx.Connect(ctx, s.DSN(step.database))
		if err != nil {
			return fmt.Errorf("connecting to %s: %w", step.database, err)
		}
		_, err = conn.Exec(ctx, step.sql)
		_ = conn.Close(ctx) // what it was for is done, or failed
		if err != nil {
			return fmt.Errorf("%s: %w", step.sql, err)
		}
	}
	return nil
}
