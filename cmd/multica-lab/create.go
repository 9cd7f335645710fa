package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// createCommand makes the database on a server that runs already: the lab's, or any other.
func createCommand(t *target) *cobra.Command {
	var generation string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "make the database on a running server, print its DSN",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			server, err := t.server(ctx)
			if err != nil {
				return err
			}
			if err := server.CreateDatabase(ctx, t.database, lab.Generation(generation)); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), server.DSN(t.database))
			return nil
		},
	}
	cmd.Flags().StringVar(&generation, "generation", string(lab.Gen272), fmt.Sprintf("the schema's generation, one of %v", lab.Generations()))
	return cmd
}
