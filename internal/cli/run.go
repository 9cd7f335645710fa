package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

const (
	// runReconnect is how long a tick waits for a database that it lost; the next tick is near.
	runReconnect = 30 * time.Second
	// runLockPatience is how long a tick queues for lock 4246: some slices of
	// another's backfill, between which it gets its turn.
	runLockPatience = 15 * time.Second
	// extension is what the service manager is asked for beyond the longest
	// statement, whenever there is progress: time to find that the server no longer
	// answers and to wait for another.
	extension = runReconnect + 30*time.Second
)

func newRunCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "run",
		Short:   "Roll up what is due: one tick, as the timer starts it",
		GroupID: groupWork,
		Long: `run works off the invalidation queue, takes the watermark to the horizon (five
minutes ago, or the start of the oldest open transaction that has written) and rolls up again what
it still owes, for at most run.budget. A watermark at the epoch is no trap: one run
catches up. If another holds lock 4246 all along, run says who and ends well.`,
	}
	config.BindFlags(cmd.Flags(), "run")
	every := cmd.Flags().Duration("every", 0, "run again and again, every `DURATION`, where nothing else schedules it")
	example(cmd.Flags(), "every", "5m")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runEvery(cmd, *every) }
	return cmd
}

func (a *app) run(cmd *cobra.Command) error {
	loaded, err := a.load(cmd)
	if err != nil {
		return err
	}
	connector, err := a.connector("run")
	if err != nil {
		return err
	}
	watch := a.newObserver(loaded.Config.Walk.StatementTimeout)
	w := rollup.New(connector, rollup.Options{
		Command: "run", Engine: loaded.Config.Engine, Known: pipeline.Shipped(), Walk: loaded.Config.Walk,
		Budget: loaded.Config.Run.Budget, StandbyLag: loaded.Config.Run.StandbyLag,
		Reconnect: runReconnect, LockPatience: runLockPatience,
		StateDir: loaded.Config.StateDir, Log: a.log(), Observe: watch.observe,
	})
	defer w.Close(cmd.Context())
	err = w.Open(cmd.Context())
	if err == nil {
		err = w.Run(cmd.Context())
	} else {
		err = a.openFailed(w.State(), err)
	}
	a.writeMetrics(w.State(), w.Store())
	return a.runEnded(w.State(), watch, err)
}

// openFailed notes in the state that the work did not even begin.
func (a *app) openFailed(st *report.State, err error) error {
	st.Phase, st.Finished = report.Done, time.Now()
	if errors.Is(err, context.Canceled) {
		st.Outcome = report.Interrupted
		return nil
	}
	st.Outcome, st.Error = report.Failed, a.redact(err.Error())
	return err
}

// runEnded tells the end of a tick to the log, the service manager, and stdout.
func (a *app) runEnded(st *report.State, watch *observer, err error) error {
	watch.last(st)
	attrs := []any{
		journal.Rows(st.Rows), journal.Watermark(st.Watermark), journal.Lag(st.Lag()), journal.Engine(st.Engine),
		journal.Duration(st.Elapsed(time.Now())), journal.Database(st.Target),
	}
	switch st.Outcome {
	case report.Failed: // the error itself is reported by Run
	case report.Busy:
		a.log().Info(st.Line(), append(attrs, journal.LockBusy.Attr(), journal.Reason(st.Holder))...)
	case report.Interrupted:
		a.log().Info(st.Line(), append(attrs, journal.RunInterrupted.Attr())...)
	default:
		a.log().Info(st.Line(), append(attrs, journal.RunFinished.Attr(), journal.Reason(st.Held))...)
	}
	if a.json {
		if jerr := a.printJSON(st); err == nil {
			err = jerr
		}
	}
	return err
}
