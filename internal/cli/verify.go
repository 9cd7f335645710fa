package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/dsn"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/verify"
)

const (
	// verifyList is how many wrong keys are named unless told otherwise.
	verifyList = 10
	// verifyPause lies between the two looks at a key before it is called wrong.
	verifyPause = 2 * time.Second
	// verifyReconnect is how long a recount waits for a database that it lost.
	verifyReconnect = time.Minute
	// verifyWindows is how many windows --engines compares unless told otherwise.
	verifyWindows = 12
)

// verifyFlags are the command's own flags.
type verifyFlags struct {
	since           string
	repair, engines bool
	list, windows   int
}

func newVerifyCmd(a *app) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:     "verify",
		Short:   "Recount raw usage against the hourly table, and repair it",
		GroupID: groupLook,
		Long: `verify counts all raw usage again and compares it with task_usage_hourly, key by key
and counter by counter, in short statements that hold nothing up. What is not due
yet is no drift: usage newer than the watermark, queued keys, and windows that the
agent still owes. A key is called wrong after two looks at it.

--repair queues just the wrong keys for recomputing, runs one tick, and looks again.
Hourly rows of deleted agents are kept: nobody can recount them.

--engines compares nothing that is stored: it has the set engine and the database's
own function roll up the same sample of windows, each in a transaction that is
rolled back, and compares the rows they wrote. That holds lock 4246 for seconds at
a time and leaves some dead rows behind for vacuum; no reader sees any of it.

Exit code 0: clean. 1: only history that a partial backfill gave up differs.
2: drift, or engines that differ. 3: could not check.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.verify(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.since, "since", "", "`TIME` of the first bucket hour (2026-01-31, 2026-01-31T12:00), or how long ago (36h, 30d); default all")
	flags.BoolVar(&f.repair, "repair", false, "queue the wrong keys, run one tick and look again")
	flags.IntVar(&f.list, "list", verifyList, "name the first `N` wrong keys")
	flags.BoolVar(&f.engines, "engines", false, "compare the set engine with the database's function instead")
	flags.IntVar(&f.windows, "windows", verifyWindows, "`N` windows for --engines to compare")
	example(flags, "since", "30d")
	example(flags, "list", "20")
	example(flags, "windows", "12")
	return monitoring(cmd)
}

func (a *app) verify(cmd *cobra.Command, f verifyFlags) error {
	since, err := verify.ParseSince(f.since)
	switch {
	case err != nil:
		return usageProblem("multica-rollup verify --since 30d", "--since is %s: %v", dsn.ShowWord(f.since), err)
	case f.list < 0 || f.list > 100_000:
		return usageProblem("multica-rollup verify --list 20", "--list is %d: want 0 to 100000", f.list)
	case f.windows < 1 || f.windows > 1000:
		return usageProblem("multica-rollup verify --engines --windows 12", "--windows is %d: want 1 to 1000", f.windows)
	case f.engines && (f.repair || cmd.Flags().Changed("since") || cmd.Flags().Changed("list")):
		return usageProblem("multica-rollup verify --engines", "--engines cannot be combined with --since, --repair and --list")
	case !f.engines && cmd.Flags().Changed("windows"):
		return usageProblem("multica-rollup verify --engines --windows 12", "--windows is for --engines")
	}
	loaded, err := a.load(cmd)
	if err != nil {
		return err
	}
	connector, err := a.connector("verify")
	if err != nil {
		return err
	}
	watch := a.newObserver(loaded.Config.Walk.StatementTimeout)
	watch.paintOn(a.err)
	v := verify.New(connector, verify.Options{
		Since: since, Repair: f.repair, Engine: loaded.Config.Engine, Known: pipeline.Shipped(), Walk: loaded.Config.Walk,
		StateDir: loaded.Config.StateDir, List: f.list, Pause: verifyPause, Windows: f.windows, Reconnect: verifyReconnect, LockPatience: runLockPatience,
		Log: a.log(), Observe: watch.observe,
	})
	defer v.Close(cmd.Context())
	if f.engines {
		r, err := v.Engines(cmd.Context())
		watch.clear()
		if err != nil {
			return err
		}
		return a.enginesVerified(r, watch)
	}
	r, err := v.Verify(cmd.Context())
	watch.clear()
	a.writeMetrics(v.State(), v.Store())
	if err != nil {
		return err
	}
	return a.verified(r, watch)
}

// verified tells the outcome of a recount, everywhere.
func (a *app) verified(r *verify.Report, watch *observer) error {
	line := verifyLine(r)
	_ = watch.notifier.Status(line) // the journal has it as well
	attrs := []any{
		journal.Watermark(r.Watermark), journal.Database(r.Target),
		journal.Duration(time.Duration(r.Seconds * float64(time.Second))),
	}
	code := exitOK
	switch r.Verdict {
	case verify.Drift:
		code = exitCritical
	case verify.GivenUp:
		code = exitWarning
	}
	if a.native {
		switch r.Verdict {
		case verify.Drift:
			reason := ""
			if len(r.First) > 0 {
				reason = differenceLine(r.First[0])
			}
			a.log().Error(line, append(attrs, journal.VerifyDrift.Attr(), journal.Reason(reason), journal.Hint(repairHint))...)
		case verify.GivenUp:
			a.log().Warn(line, append(attrs, journal.HistoryGivenUp.Attr(), journal.Hint("multica-rollup backfill"))...)
		default:
			a.log().Info(line, append(attrs, journal.VerifyClean.Attr())...)
		}
	}
	var err error
	if a.json {
		err = a.printJSON(r)
	} else {
		err = printVerified(a.out, r, !a.native)
	}
	return errors.Join(err, exitWith(code))
}

// enginesVerified tells the outcome of a comparison of the engines.
func (a *app) enginesVerified(r *verify.EngineReport, watch *observer) error {
	line := enginesLine(r)
	_ = watch.notifier.Status(line) // it is the result's first line
	var err error
	if a.json {
		err = a.printJSON(r)
	} else {
		err = printEngines(a.out, r)
	}
	code := exitOK
	if !r.Equal {
		code = exitCritical
	}
	return errors.Join(err, exitWith(code))
}

const repairHint = "multica-rollup verify --repair"

// verifyLine is a recount in one line, for STATUS= and the journal.
func verifyLine(r *verify.Report) string {
	read := fmt.Sprintf("%s usage rows recounted against %s hourly rows", report.Count(r.UsageRows), report.Count(r.HourlyRows))
	took := report.Duration(time.Duration(r.Seconds * float64(time.Second)))
	switch {
	case r.Repair != nil && r.Verdict != verify.Drift:
		return fmt.Sprintf("repaired: %s hourly keys were wrong and are right now; %s in %s", report.Count(r.Wrong.Sum()), read, took)
	case r.Repair != nil:
		return fmt.Sprintf("drift: of %s wrong hourly keys %s are still wrong and %s are queued; %s in %s",
			report.Count(r.Wrong.Sum()), report.Count(r.Repair.Left.Sum()), report.Count(r.Repair.Still), read, took)
	case r.Verdict == verify.Drift:
		return fmt.Sprintf("drift: %s hourly keys are wrong (%s missing, %s surplus, %s differing); %s in %s", report.Count(r.Wrong.Sum()),
			report.Count(r.Wrong.Missing), report.Count(r.Wrong.Surplus), report.Count(r.Wrong.Differing), read, took)
	}
	return fmt.Sprintf("%s: %s in %s", r.Verdict, read, took)
}
