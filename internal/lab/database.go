package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// templateLock serialises the making of templates among the processes that share a server.
const templateLock = 424601

// CreateDatabase creates a database with the schema of a generation and no rows of Multica's.
// The schema is made once for each server and generation, as a template; copies take some 50 ms.
func (s *Server) CreateDatabase(ctx context.Context, name string, gen Generation) error {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("connecting to the lab's server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	template, err := s.ensureTemplate(ctx, conn, gen)
	if err != nil {
		return err
	}
	create := "CREATE DATABASE " + pgx.Identifier{name}.Sanitize() + " TEMPLATE " + pgx.Identifier{template}.Sanitize()
	if _, err := conn.Exec(ctx, create); err != nil {
		return fmt.Errorf("creating database %s: %w", name, err)
	}
	return nil
}

// Upgrade takes a database from one generation to a later one, as migrating a live installation
// does: all of it or nothing. Where 103 lies on the way and its guard refuses, the error is a *GuardRefusal.
func Upgrade(ctx context.Context, db Querier, from, to Generation) error {
	applied, err := from.migrations()
	if err != nil {
		return err
	}
	all, err := to.migrations()
	if err != nil {
		return err
	}
	if len(all) < len(applied) {
		return fmt.Errorf("generation %s is not later than %s", to, from)
	}
	script, err := concat(all[len(applied):])
	if err != nil {
		return err
	}
	if _, err := db.Exec(ctx, script); err != nil {
		if refusal := asRefusal(err); refusal != nil {
			return refusal
		}
		return fmt.Errorf("upgrading from %s to %s: %w", from, to, err)
	}
	return nil
}

// DropDatabase drops a database if it exists, whoever is still connected to it.
func (s *Server) DropDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("connecting to the lab's server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("dropping database %s: %w", name, err)
	}
	return nil
}

// ensureTemplate returns the name of the generation's template database, made if needed. The name
// carries a digest of the schema, so that a server outliving a change of it is no trap.
func (s *Server) ensureTemplate(ctx context.Context, conn *pgx.Conn, gen Generation) (name string, err error) {
	script, err := gen.script()
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(script))
	name = "lab_template_" + string(gen) + "_" + hex.EncodeToString(digest[:6])
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", templateLock); err != nil {
		return "", fmt.Errorf("locking the templates: %w", err)
	}
	defer func() {
		_, unlockErr := conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", templateLock)
		err = errors.Join(err, unlockErr)
	}()
	// A template that may be connected to is an unfinished one.
	var usable *bool
	err = conn.QueryRow(ctx, "SELECT (SELECT NOT datallowconn FROM pg_database WHERE datname = $1)", name).Scan(&usable)
	if err != nil {
		return "", fmt.Errorf("looking for template %s: %w", name, err)
	}
	if usable != nil && *usable {
		return name, nil
	}
	quoted := pgx.Identifier{name}.Sanitize()
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + quoted + " WITH (FORCE)", "CREATE DATABASE " + quoted} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return "", fmt.Errorf("making template %s: %w", name, err)
		}
	}
	if err := applyScript(ctx, s.DSN(name), script); err != nil {
		return "", fmt.Errorf("making template %s: %w", name, err)
	}
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+quoted+" ALLOW_CONNECTIONS false"); err != nil {
		return "", fmt.Errorf("closing template %s: %w", name, err)
	}
	return name, nil
}

// applyScript runs a script of several statements, as one transaction.
func applyScript(ctx context.Context, dsn, script string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, script)
	return err
}
