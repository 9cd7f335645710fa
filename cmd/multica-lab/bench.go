package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/bench"
)

func benchCommand() *cobra.Command {
	var o bench.Options
	var out string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "measure the agent beside what it replaces, on a server of its own",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Out, o.Log = cmd.OutOrStdout(), cmd.ErrOrStderr()
			if out == "" {
				return bench.Run(cmd.Context(), o)
			}
			f, err := os.Create(out)
			if err != nil {
				return err
			}
			o.Out = f
			if err := bench.Run(cmd.Context(), o); err != nil {
				_ = f.Close() // half a report is of no use
				return err
			}
			return f.Close()
		},
	}
	cmd.Flags().StringVar(&o.Program, "program", "bin/multica-rollup", "the built program")
	cmd.Flags().IntSliceVar(&o.Sizes, "tasks", []int{10_000, 30_000, 100_000, 1_000_000}, "tasks of each history")
	cmd.Flags().DurationVar(&o.Limit, "limit", 10*time.Minute, "cut the month walk after this long")
	cmd.Flags().IntVar(&o.Ticks, "ticks", 9, "steady ticks of each kind")
	cmd.Flags().BoolVar(&o.Huge, "huge-pages", false, "give the server huge pages, which must be reserved (vm.nr_hugepages)")
	cmd.Flags().StringVar(&out, "out", "", "write the report to this file")
	return cmd
}
