package cli

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/dsn"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
	"github.com/multica-rollup/multica-rollup/internal/throttle"
)

const (
	// backfillReconnect is how long a backfill waits for a database that it
	// lost: a restart or a failover; its unit starts it again after that.
	backfillReconnect = 5 * time.Minute
	// backfillLockPatience is how long it waits for lock 4246 without getting it once.
	backfillLockPatience = 2 * time.Minute
	// backfillLockTold is after how long of that the log says who holds it.
	backfillLockTold = 5 * time.Second
	// progressEntry is how often its progress becomes an entry in the journal.
	progressEntry = time.Minute
	// mostMonths is further back than any usage can be.
	mostMonths = 1200
)

// backfillFlags are those of the command that are no keys of the configuration.
type backfillFlags struct {
	monthsBack                    int
	from                          string
	forcePartial, dryRun, restart bool
}

func newBackfillCmd(a *app) *cobra.Command {
	var f backfillFlags
	cmd := &cobra.Command{
		Use:     "backfill",
		Short:   "Roll up history, however much there is; it can be interrupted and goes on",
		GroupID: groupWork,
		Long: `backfill rolls up all of history, from the oldest usage to the horizon, in slices
of about walk.slice_target each. Lock 4246 is held for one slice at a time, so the
timer, Multica's own scheduler and deleting a workspace get their turn in between.
An interrupted backfill goes on where it was. History that is rolled up already is
read again, and rewritten only where it was wrong.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.backfill(cmd, &f) },
	}
	flags := cmd.Flags()
	config.BindFlags(flags, "backfill")
	flags.IntVar(&f.monthsBack, "months-back", 0, "begin at the calendar month (UTC) `N` months ago instead of the oldest usage")
	flags.StringVar(&f.from, "from", "", "begin at this hour (`TIME` as 2026-01-31, in UTC, or RFC 3339) instead of the oldest usage")
	flags.BoolVar(&f.forcePartial, "force-partial", false, "with --months-back or --from: give up for good what is before and not rolled up yet")
	flags.BoolVar(&f.dryRun, "dry-run", false, "tell what would be done; write nothing")
	flags.BoolVar(&f.restart, "restart", false, "begin anew instead of going on with an unfinished backfill")
	example(flags, "months-back", "12")
	example(flags, "from", "2026-01-31")
	return cmd
}

// options checks the flags.
func (f *backfillFlags) options(cmd *cobra.Command) (rollup.BackfillOptions, error) {
	o := rollup.BackfillOptions{MonthsBack: f.monthsBack, ForcePartial: f.forcePartial, Restart: f.restart}
	if cmd.Flags().Changed("months-back") && (f.monthsBack < 1 || f.monthsBack > mostMonths) {
		return o, usageProblem(fmt.Sprintf("give a number of months from 1 to %d, or leave it away for all of history", mostMonths),
			"--months-back %d makes no sense", f.monthsBack)
	}
	if f.forcePartial && f.from == "" && f.monthsBack == 0 {
		return o, usageProblem("for instance --months-back 12 --force-partial; without --force-partial all of history is rolled up",
			"--force-partial gives up what is before a beginning, and none is given by --months-back or --from")
	}
	if f.from == "" {
		return o, nil
	}
	if f.monthsBack > 0 {
		return o, usageProblem("give one of them", "--from and --months-back both say where to begin")
	}
	from, err := parseTime(f.from)
	if err != nil || from.Year() < 1970 || from.After(time.Now()) {
		return o, usageProblem("write it as 2026-01-31 or 2026-01-31T15:00:00Z, in the past", "--from %s is no time to begin at", dsn.ShowWord(f.from))
	}
	o.From = from
	return o, nil
}

// parseTime reads a day (UTC) or an RFC 3339 time.
func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, s)
}

func (a *app) backfill(cmd *cobra.Command, f *backfillFlags) error {
	o, err := f.options(cmd)
	if err != nil {
		return err
	}
	hold, err := a.backfillThrottle(cmd)
	if err != nil {
		return err
	}
	w, watch, err := a.newBackfill(cmd, rollup.Options{Throttle: hold, DryRun: f.dryRun})
	if err != nil {
		return err
	}
	hold.Warn = func(text string) {
		w.State().Warn(text)
		watch.observe(w.State())
	}
	ctx := cmd.Context()
	defer w.Close(ctx)
	o.CountLater = !f.dryRun
	var plan *rollup.BackfillPlan
	if err = w.Open(ctx); err == nil {
		plan, err = w.PlanBackfill(ctx, o)
	}
	if err != nil {
		err = a.openFailed(w.State(), err)
		if !f.dryRun {
			a.writeMetrics(w.State(), w.Store())
		}
		return a.backfillEnded(w.State(), watch, err)
	}
	if f.dryRun {
		watch.last(w.State())
		return a.printPlan(plan, w.State())
	}
	if err := watch.notifier.Ready(); err != nil {
		a.log().Warn("cannot tell the service manager that the backfill has begun", journal.Reason(err.Error()))
	}
	o.Begins = func() {
		verb := "begins"
		if plan.Resumed {
			verb = "goes on"
		}
		a.log().Info(fmt.Sprintf("the backfill %s at %s: %s of %s usage rows to read", verb, report.Stamp(plan.Begins()),
			report.Count(plan.Total-plan.Done), report.Count(plan.Total)),
			journal.BackfillStarted.Attr(), journal.Engine(w.State().Engine), journal.Database(w.State().Target))
	}
	err = w.Backfill(ctx, plan, o)
	a.writeMetrics(w.State(), w.Store())
	return a.backfillEnded(w.State(), watch, err)
}

// backfillThrottle makes what holds a backfill back, by the configuration.
func (a *app) backfillThrottle(cmd *cobra.Command) (*throttle.Throttle, error) {
	loaded, err := a.load(cmd)
	if err != nil {
		return nil, err
	}
	if warning := loaded.PauseFileWarning(os.Getenv("CREDENTIALS_DIRECTORY") != ""); warning != "" {
		a.log().Warn(warning)
	}
	return throttle.New(loaded.Config.Backfill, a.log(), time.Now)
}

// newBackfill makes a walker for a backfill: by o, which says what holds it back and
// whether it only looks, and else by the configuration.
func (a *app) newBackfill(cmd *cobra.Command, o rollup.Options) (*rollup.Walker, *observer, error) {
	loaded, err := a.load(cmd)
	if err != nil {
		return nil, nil, err
	}
	connector, err := a.connector("backfill")
	if err != nil {
		return nil, nil, err
	}
	watch := a.newObserver(loaded.Config.Walk.StatementTimeout)
	watch.paintOn(a.err)
	watch.entry = progressEntry
	o.Command, o.Engine, o.Known, o.Walk = "backfill", loaded.Config.Engine, pipeline.Shipped(), loaded.Config.Walk
	o.Reconnect, o.LockPatience, o.LockTold = backfillReconnect, backfillLockPatience, backfillLockTold
	o.StateDir, o.Log, o.Observe = loaded.Config.StateDir, a.log(), watch.observe
	return rollup.New(connector, o), watch, nil
}

// backfillEnded tells the end of a backfill to the log, the service manager, and stdout.
func (a *app) backfillEnded(st *report.State, watch *observer, err error) error {
	watch.last(st)
	attrs := []any{
		journal.Rows(st.Rows), journal.Watermark(st.Watermark), journal.Lag(st.Lag()), journal.Engine(st.Engine),
		journal.Duration(st.Elapsed(time.Now())), journal.Database(st.Target),
	}
	switch st.Outcome {
	case report.Failed: // the error itself is reported by Run
	case report.Interrupted:
		a.log().Info(st.Line(), append(attrs, journal.BackfillInterrupted.Attr())...)
	default:
		a.log().Info("history is "+st.Line(), append(attrs, journal.BackfillFinished.Attr())...)
	}
	if a.json {
		if jerr := a.printJSON(st); err == nil {
			err = jerr
		}
	}
	return err
}

// printPlan prints what a backfill would do.
func (a *app) printPlan(p *rollup.BackfillPlan, st *report.State) error {
	if a.json {
		return a.printJSON(struct {
			Database     string `json:"database"`
			Generation   string `json:"generation"`
			Engine       string `json:"engine"`
			EngineReason string `json:"engine_reason,omitempty"`
			*rollup.BackfillPlan
		}{st.Target, st.Generation, st.Engine, st.EngineReason, p})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "database   %s (generation %s)\n", st.Target, st.Generation)
	fmt.Fprintf(&b, "engine     %s", st.Engine)
	if st.EngineReason != "" {
		fmt.Fprintf(&b, ": %s", st.EngineReason)
	}
	fmt.Fprintf(&b, "\nwatermark  %s\n", report.Stamp(p.Watermark))
	fmt.Fprintf(&b, "from       %s\nto         %s\n", report.Stamp(p.Begins()), report.Stamp(p.To))
	if p.Resumed {
		fmt.Fprintf(&b, "goes on    with %s of %s rows done\n", report.Count(p.Done), report.Count(p.Total))
	}
	if g := p.GivesUp; g != nil {
		fmt.Fprintf(&b, "gives up   %s usage rows before %s, for good\n", report.Count(g.Events), report.Stamp(g.Before))
	}
	fmt.Fprintf(&b, "to read    %s usage rows\n", report.Count(p.Total-p.Done))
	if len(p.Months) > 0 {
		fmt.Fprintln(&b)
	}
	if _, err := fmt.Fprint(a.out, b.String()); err != nil || len(p.Months) == 0 {
		return err
	}
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "month\tusage rows\t")
	for _, m := range p.Months {
		fmt.Fprintf(table, "%s\t%s\t\n", m.Month.UTC().Format("2006-01"), report.Count(m.Rows))
	}
	return table.Flush()
}
