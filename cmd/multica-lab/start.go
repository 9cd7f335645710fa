package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// startCommand starts the server, unless it runs already, and makes the database, unless it exists.
func startCommand(t *target) *cobra.Command {
	var o lab.Options
	var generation string
	cmd := &cobra.Command{
		Use:   "start",
		Short: "start the server, make the database, print its DSN",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if t.dsn != "" {
				return problem.New(problem.Usage, "multica-lab start --dir DIR", "start takes no --dsn: it makes its own server")
			}
			if !slices.Contains(lab.Generations(), lab.Generation(generation)) {
				return problem.New(problem.Usage, fmt.Sprintf("give one of %v", lab.Generations()), "unknown generation %q", generation)
			}
			o.Dir, o.Detach = t.dir, true
			server, err := lab.Attach(ctx, t.dir)
			if errors.Is(err, lab.ErrNotRunning) {
				server, err = lab.Start(ctx, o)
			}
			if err != nil {
				return err
			}
			if err := ensureDatabase(ctx, server, t.database, lab.Generation(generation)); err != nil {
				return err
			}
			dsn := server.DSN(t.database)
			if o.TCP {
				dsn = server.TCPDSN(t.database)
			}
			if dsn == "" {
				return problem.New(problem.Usage, "multica-lab stop, then start --tcp", "the lab in %s runs without TCP", t.dir)
			}
			fmt.Fprintln(cmd.OutOrStdout(), dsn)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&generation, "generation", string(lab.Gen272), fmt.Sprintf("the schema's generation, one of %v", lab.Generations()))
	flags.BoolVar(&o.TCP, "tcp", false, "listen on 127.0.0.1 too, and print that DSN")
	flags.IntVar(&o.Port, "port", 0, "port (default: a free one)")
	flags.BoolVar(&o.Durable, "durable", false, "leave fsync on, as benchmarks want it")
	flags.StringToStringVar(&o.Settings, "set", nil, "settings of the server, name=value")
	return cmd
}

// ensureDatabase makes the database unless there is one of that name.
func ensureDatabase(ctx context.Context, server *lab.Server, name string, gen lab.Generation) error {
	exists, err := server.HasDatabase(ctx, name)
	if err != nil || exists {
		return err
	}
	return server.CreateDatabase(ctx, name, gen)
}

// stopCommand ends the server and removes everything.
func stopCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "stop the server and remove its directory",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := lab.StopDetached(cmd.Context(), t.dir)
			if errors.Is(err, lab.ErrNotRunning) {
				fmt.Fprintf(cmd.ErrOrStderr(), "no lab is running in %s\n", t.dir)
				return nil
			}
			return err
		},
	}
}
