package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// The bounds on --every: below, the ticks are nothing but load; above, a
// dashboard that is a day late is taken for a broken one.
const (
	shortestEvery = 5 * time.Second
	longestEvery  = 24 * time.Hour
)

// runEvery ticks once where every is zero, and else until it is told to stop:
// for containers without a scheduler beside them. A tick that overran is
// followed by the next at once. What does not mend itself ends it.
func (a *app) runEvery(cmd *cobra.Command, every time.Duration) error {
	if every == 0 && !cmd.Flags().Changed("every") {
		return a.run(cmd)
	}
	if every < shortestEvery || every > longestEvery {
		return usageProblem("for instance --every 5m", "--every must be from %s to %s",
			config.FormatDuration(shortestEvery), config.FormatDuration(longestEvery))
	}
	ctx := cmd.Context()
	for {
		next := time.NewTimer(every)
		if err := a.run(cmd); err != nil {
			switch problem.KindOf(err) {
			case problem.Usage, problem.Permission, problem.Config:
				next.Stop()
				return err
			}
			a.report(cmd, err)
		}
		select {
		case <-ctx.Done():
			next.Stop()
			return nil
		case <-next.C:
		}
	}
}
