package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// loadCommand keeps writing until interrupted.
func loadCommand(t *target) *cobra.Command {
	var o lab.LoadOptions
	var duration time.Duration
	cmd := &cobra.Command{
		Use:   "load",
		Short: "keep writing as a running Multica does, until interrupted",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			dsn, err := t.resolve(ctx)
			if err != nil {
				return err
			}
			if duration > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, duration)
				defer cancel()
			}
			stats, err := lab.Load(ctx, dsn, o)
			if err != nil {
				return err
			}
			out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, op := range slices.Sorted(maps.Keys(stats.Done)) {
				fmt.Fprintf(out, "%s\t%d\n", op, stats.Done[op])
			}
			fmt.Fprintf(out, "conflicts\t%d\nlong transactions\t%d\n", stats.Conflicts, stats.Long)
			return out.Flush()
		},
	}
	f := cmd.Flags()
	f.Float64Var(&o.Rate, "rate", 20, "operations a second")
	f.IntVar(&o.Connections, "connections", 4, "connections")
	f.DurationVar(&duration, "duration", 0, "stop after that long (default: when interrupted)")
	f.DurationVar(&o.LongTransaction, "long-transaction", 0, "keep one transaction in two hundred open for that long")
	f.BoolVar(&o.DeleteAgents, "delete-agents", false, "delete agents too: their hourly rows stay wrong until recounted")
	return cmd
}
