package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// psqlCommand opens psql, or passes it what follows: multica-lab psql -- -c 'SELECT …'.
func psqlCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "psql [-- PSQL ARGUMENTS]",
		Short: "open psql on the database",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			dsn, err := t.resolve(ctx)
			if err != nil {
				return err
			}
			program := "psql"
			if t.dsn == "" {
				server, err := t.attach(ctx)
				if err != nil {
					return err
				}
				program = server.Binary("psql")
			}
			psql := exec.CommandContext(ctx, program, append([]string{"--no-psqlrc", "--dbname=" + dsn}, args...)...)
			psql.Stdin, psql.Stdout, psql.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			return psql.Run()
		},
	}
}

// guardCommand asks migration 103's guard.
func guardCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "guard",
		Short: "ask migration 103's guard; exit 1 where it refuses",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.query(cmd.Context(), func(conn *pgx.Conn) error {
				err := lab.GuardVerdict(cmd.Context(), conn)
				if refusal, ok := errors.AsType[*lab.GuardRefusal](err); ok {
					fmt.Fprintln(cmd.OutOrStdout(), refusal.Message)
					return verdict{}
				}
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), "migration 103 would pass")
				return nil
			})
		},
	}
}

// shownDifferences is how many of the oracle's differences are printed: the first ones tell.
const shownDifferences = 20

// oracleCommand compares raw usage with task_usage_hourly.
func oracleCommand(t *target) *cobra.Command {
	var settle time.Duration
	cmd := &cobra.Command{
		Use:   "oracle",
		Short: "compare raw usage with task_usage_hourly; exit 1 on differences",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return t.query(ctx, func(conn *pgx.Conn) error {
				diffs, err := ask(ctx, conn, settle)
				if err != nil {
					return err
				}
				for _, d := range diffs[:min(len(diffs), shownDifferences)] {
					fmt.Fprintln(cmd.OutOrStdout(), d)
				}
				aside, err := lab.SetAside(ctx, conn)
				if err != nil {
					return err
				}
				if aside.KeptRows > 0 {
					fmt.Fprintf(cmd.OutOrStdout(), "kept: %d rows of %d deleted agents, %s tokens\n", aside.KeptRows, aside.KeptAgents, aside.KeptTokens)
				}
				if aside.OddKeys > 0 {
					fmt.Fprintf(cmd.OutOrStdout(), "odd: %d keys have no finite hour or exceed bigint\n", aside.OddKeys)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d differences\n", len(diffs))
				if len(diffs) > 0 {
					return verdict{}
				}
				return nil
			})
		},
	}
	cmd.Flags().DurationVar(&settle, "settle", 0, "leave out what was touched within that time, as under load")
	return cmd
}

// ask asks the oracle about everything, or about what has been left alone for settle.
func ask(ctx context.Context, conn *pgx.Conn, settle time.Duration) ([]lab.Diff, error) {
	if settle == 0 {
		return lab.Oracle(ctx, conn)
	}
	var now time.Time
	if err := conn.QueryRow(ctx, "SELECT now()").Scan(&now); err != nil {
		return nil, fmt.Errorf("asking the database's clock: %w", err)
	}
	return lab.OracleBefore(ctx, conn, now.Add(-settle))
}

// query runs f on a connection to the target.
func (t *target) query(ctx context.Context, f func(*pgx.Conn) error) error {
	dsn, err := t.resolve(ctx)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return f(conn)
}
