package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/multica-rollup/multica-rollup/internal/buildinfo"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
	"github.com/multica-rollup/multica-rollup/internal/state"
	"github.com/multica-rollup/multica-rollup/internal/status"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

const (
	// statusPatience bounds one look; what is asked is answered by indexes.
	statusPatience = 30 * time.Second
	// watchInterval is how often --watch looks again, and the least it may be told.
	watchInterval, shortestWatch = 5 * time.Second, time.Second
	// widest is how much of a wide terminal is used: longer lines are hard to read.
	widest = 100
)

func newStatusCmd(a *app) *cobra.Command {
	var all, brief bool
	var every time.Duration
	cmd := monitoring(&cobra.Command{
		Use:     "status",
		Short:   "Show how the roll-up is doing",
		GroupID: groupLook,
		Long: fmt.Sprintf(`status shows up to where usage is rolled up, what waits, the queue of invalidations,
the last run, the engine, the timer, other schedulers, migration 103's verdict, an
unfinished backfill, and the tokens of the last 24 hours. It writes nothing, and
asks only what an index answers.

Exit code 0: all is well. 1: a warning. 2: critical. 3: it could not be checked.

  critical  usage has waited for more than %s, or the watermark is at the epoch
            or in the future; the last run or the service failed; an invalidation
            is older than %s; the server is a standby or accepts no writes
  warning   usage has waited for more than %s; an invalidation is older than %s;
            the timer is not started and nobody else schedules; lock 4246 is held
            for more than %s; migration 103 would refuse; a backfill was
            interrupted or failed; verify found wrong rows; a transaction open for
            more than %s is owed; a logical subscription feeds Multica's tables`,
			report.Span(status.CritWait), report.Span(status.CritQueue), report.Span(status.WarnWait),
			report.Span(status.WarnQueue), report.Span(status.WarnLock), report.Span(status.WarnDebt)),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if brief && a.json {
				return usageProblem("multica-rollup status --json", "--brief and --json exclude each other")
			}
			look := func(cmd *cobra.Command) error { return a.statusOnce(cmd, brief) }
			if all {
				look = func(cmd *cobra.Command) error { return a.statusAll(cmd, brief) }
			}
			if !cmd.Flags().Changed("watch") {
				return look(cmd)
			}
			if every < shortestWatch {
				return usageProblem("for instance --watch=10s", "--watch must be at least %s", shortestWatch)
			}
			return a.watch(cmd, every, look)
		},
	})
	cmd.Flags().BoolVar(&all, "all", false, "every database of this host: rollup.toml and rollup.d/*.toml beside it")
	cmd.Flags().BoolVar(&brief, "brief", false, "one line, for a probe: the verdict, and the worst of what is amiss")
	cmd.Flags().DurationVar(&every, "watch", watchInterval, "look again every `INTERVAL` (--watch=10s) until interrupted")
	cmd.Flags().Lookup("watch").NoOptDefVal = watchInterval.String()
	example(cmd.Flags(), "watch", "10s")
	return cmd
}

// statusOnce looks at the configured database and prints what it found.
func (a *app) statusOnce(cmd *cobra.Command, brief bool) error {
	if _, err := a.load(cmd); err != nil {
		return err
	}
	s, err := a.gatherStatus(cmd.Context())
	if err != nil {
		return err
	}
	switch {
	case a.json:
		err = a.printJSON(s)
	case brief:
		err = report.WriteBrief(a.out, []report.StatusEntry{{Level: s.Level, Status: s}})
	default:
		err = report.WriteStatus(a.out, s, a.style())
	}
	if err != nil {
		return err
	}
	return exitWith(s.Level.ExitCode())
}

// gatherStatus looks at the database of the loaded configuration.
func (a *app) gatherStatus(ctx context.Context) (*report.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	connector, err := a.connector("status")
	if err != nil {
		return nil, err
	}
	o := status.Options{
		Connector: connector, Known: pipeline.Shipped(), Schedulers: scheduler.Kinds(), Engine: a.loaded.Engine, Now: time.Now,
		Store: func(p *pipeline.Pipeline) *state.Store { return a.inspectState(p, connector.Target()) },
	}
	path := a.loaded.Path
	if names, ok := unitNames(path); ok {
		o.Units = func(ctx context.Context) (*units.Units, error) { return units.Read(ctx, names) }
	}
	s, err := status.Gather(ctx, o)
	err = unanswered(err, connector, statusPatience)
	if err != nil {
		return nil, err
	}
	s.Version, s.Instance, s.Config = buildinfo.Read().Version, instanceName(path), path
	for i := range s.Findings {
		s.Findings[i].Text = a.redact(s.Findings[i].Text)
	}
	return s, nil
}

// statusAll looks at every database of this host and prints a line for each.
func (a *app) statusAll(cmd *cobra.Command, brief bool) error {
	all, err := a.instances(cmd)
	if err != nil {
		return err
	}
	if err := wrongFlag(all); err != nil {
		return err
	}
	entries := make([]report.StatusEntry, len(all))
	level := report.OK
	for n, i := range all {
		e := report.StatusEntry{Instance: i.Label(), Config: i.Path, Level: report.Unknown}
		own, err := a.of(i)
		if err == nil {
			e.Status, err = own.gatherStatus(cmd.Context())
		}
		if err == nil {
			e.Level = e.Status.Level
		} else if cmd.Context().Err() != nil {
			return cmd.Context().Err()
		} else {
			e.Error, e.Hint = strings.ReplaceAll(err.Error(), "\n", "; "), problem.HintOf(err)
			if own != nil {
				e.Error, e.Hint = own.redact(e.Error), own.redact(e.Hint)
			}
		}
		entries[n], level = e, level.Worse(e.Level)
	}
	switch {
	case a.json:
		err = a.printJSON(struct {
			SchemaVersion int                  `json:"schema_version"`
			Level         report.Level         `json:"status"`
			Instances     []report.StatusEntry `json:"instances"`
		}{report.SchemaVersion, level, entries})
	case brief:
		err = report.WriteBrief(a.out, entries)
	default:
		err = report.WriteStatuses(a.out, entries, a.style())
	}
	if err != nil {
		return err
	}
	return exitWith(level.ExitCode())
}

// clearScreen homes the cursor and clears what follows, the scroll-back left alone.
const clearScreen = "\x1b[H\x1b[2J"

// watch looks again and again until it is interrupted, which is no failure. An
// error is shown and does not end it, unless it is one of the command line.
func (a *app) watch(cmd *cobra.Command, every time.Duration, look func(*cobra.Command) error) error {
	ctx := cmd.Context()
	out, style := a.out, a.style()
	first := true
	for {
		var page strings.Builder
		a.out, a.fixedStyle = &page, &style
		err := look(cmd)
		a.out = out
		if ctx.Err() != nil {
			return nil
		}
		if e, ok := errors.AsType[*exitError](err); err != nil && !(ok && e.reported) {
			if a.loaded == nil && !cmd.Flags().Changed("all") || problem.KindOf(err) == problem.Usage {
				return err
			}
			a.report(cmd, err)
		}
		switch {
		case isTerminal(out):
			page.WriteString("\nevery " + report.Span(every) + "; Ctrl-C ends it\n")
			_, err = io.WriteString(out, clearScreen+page.String())
		case first || a.json:
			_, err = io.WriteString(out, page.String())
		default:
			_, err = io.WriteString(out, "\n"+page.String())
		}
		if err != nil {
			return fmt.Errorf("printing the status: %w", err)
		}
		first = false
		timer := time.NewTimer(every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// style is how text is laid out on stdout: in colour only on a terminal, and
// not where NO_COLOR is set (no-color.org).
func (a *app) style() report.Style {
	if a.fixedStyle != nil {
		return *a.fixedStyle
	}
	if !isTerminal(a.out) {
		return report.Style{}
	}
	s := report.Style{Color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	if width, _, err := term.GetSize(int(a.out.(*os.File).Fd())); err == nil {
		s.Width = min(width, widest)
	}
	return s
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
