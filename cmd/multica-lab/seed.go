package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// seedCommand fills the database with history.
func seedCommand(t *target) *cobra.Command {
	shape := lab.Real(1, 10_000)
	var end, named string
	var rolledUp bool
	cmd := &cobra.Command{
		Use:   "seed",
		Short: "fill the database with history, the same for the same flags",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if end != "" {
				at, err := time.Parse(time.RFC3339, end)
				if err != nil {
					return problem.Wrap(err, problem.Usage, "--end 2026-03-01T12:00:00Z", "end %q is not a time", end)
				}
				shape.End = at
			}
			switch named {
			case "real":
			case "dense":
				dense := lab.Typical(shape.Seed, shape.Tasks)
				shape.Stint, shape.Wide = dense.Stint, dense.Wide
				for flag, count := range map[string]*int{"agents": &shape.Agents, "runtimes": &shape.Runtimes, "models": &shape.Models} {
					if !cmd.Flags().Changed(flag) {
						*count = 0 // the default of Shape
					}
				}
			default:
				return problem.New(problem.Usage, "--shape real or --shape dense", "unknown shape %q", named)
			}
			if named == "real" && !cmd.Flags().Changed("issues") {
				shape.Issues = max(shape.Tasks/20, shape.Workspaces)
			}
			if !cmd.Flags().Changed("burst-rows") {
				shape.BurstRows = max(shape.Tasks/100, 1)
			}
			dsn, err := t.resolve(ctx)
			if err != nil {
				return err
			}
			conn, err := pgx.Connect(ctx, dsn)
			if err != nil {
				return fmt.Errorf("connecting: %w", err)
			}
			defer conn.Close(context.WithoutCancel(ctx))
			started := time.Now()
			done, err := lab.Seed(ctx, conn, shape)
			if err != nil {
				return err
			}
			if rolledUp {
				if err := lab.RollUp(ctx, conn); err != nil {
					return err
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d tasks, %d usage rows from %s to %s in %s\n", done.Tasks, done.UsageRows,
				done.Start.Format(time.DateOnly), done.End.Format(time.RFC3339), time.Since(started).Round(100*time.Millisecond))
			heap, total, err := lab.TaskBytes(ctx, conn)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s shape: a task takes %d bytes, %d with what is out of line\n", named, heap, total)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&named, "shape", "real", "real: as installations have it; dense: narrow tasks, usage that shares hourly rows")
	f.Uint64Var(&shape.Seed, "seed", shape.Seed, "another seed gives another history")
	f.IntVar(&shape.Tasks, "tasks", shape.Tasks, "tasks, with 1.2 usage rows each on average")
	f.IntVar(&shape.Months, "months", 12, "length of the history")
	f.StringVar(&end, "end", "", "the history's end, RFC 3339 (default: ten minutes ago)")
	f.IntVar(&shape.Workspaces, "workspaces", 2, "workspaces")
	f.IntVar(&shape.Agents, "agents", shape.Agents, "agents")
	f.IntVar(&shape.Runtimes, "runtimes", shape.Runtimes, "runtimes")
	f.IntVar(&shape.Projects, "projects", 12, "projects")
	f.IntVar(&shape.Issues, "issues", 0, "issues (default: a twentieth of the tasks; dense: a tenth)")
	f.IntVar(&shape.Models, "models", shape.Models, "models")
	f.Float64Var(&shape.Corrections, "corrections", shape.Corrections, "share of usage rows corrected later")
	f.Float64Var(&shape.LateCorrections, "late-corrections", shape.LateCorrections, "share of the corrections that come one or two months later")
	f.Float64Var(&shape.NoUpdatedAt, "no-updated-at", shape.NoUpdatedAt, "share of usage rows, the oldest, without updated_at")
	f.Float64Var(&shape.NoIssue, "no-issue", shape.NoIssue, "share of tasks without an issue")
	f.Float64Var(&shape.NoProject, "no-project", shape.NoProject, "share of issues without a project")
	f.Float64Var(&shape.NoCost, "no-cost", shape.NoCost, "share of usage rows without a cost")
	f.Float64Var(&shape.NoRuntime, "no-runtime", 0, "share of tasks without a runtime (generation 272)")
	f.IntVar(&shape.Bursts, "bursts", shape.Bursts, "how often many rows are rewritten at one instant")
	f.IntVar(&shape.BurstRows, "burst-rows", 0, "rows of each burst (default: a hundredth of the tasks)")
	f.IntVar(&shape.QuietMonths, "quiet-months", 0, "months in the middle without any event")
	f.Float64Var(&shape.SkewAgent, "skew-agent", 0, "share of tasks of one busiest agent")
	f.Float64Var(&shape.SkewHour, "skew-hour", 0, "share of tasks in one single hour")
	f.BoolVar(&rolledUp, "rolled-up", false, "roll everything up too, as a long-running installation has it")
	return cmd
}
