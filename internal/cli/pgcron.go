package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/pgcron"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

// pgcronPatience bounds one look at pg_cron, or one change.
const pgcronPatience = 30 * time.Second

func newPgcronCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "pgcron",
		Short:   "Have pg_cron roll up inside PostgreSQL instead",
		GroupID: groupSetUp,
		Long: `pgcron looks after one job of pg_cron that calls Multica's own function every five
minutes: for databases that no host with a timer reaches. It never changes the
server's configuration, and says what its administrator has to do.

The function is slower than this program the longer history is, catches up with a
day a run at the most, and loses invalidations after an outage of seven days; so
run the backfill first, and verify now and then.`,
		Args: commandOnly,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageProblem(cmd.CommandPath()+" --help lists the commands", "pgcron wants install, status or remove")
		},
	}
	cmd.AddCommand(newPgcronInstallCmd(a), newPgcronStatusCmd(a), newPgcronRemoveCmd(a))
	return cmd
}

func newPgcronInstallCmd(a *app) *cobra.Command {
	var second bool
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Schedule the job, or put it right",
		Long: `install sees to it that pg_cron has one active job for this database, named
multica-rollup, in whatever database pg_cron works. Calling it again changes
nothing. Where this host's timer, the backend or another job rolls up already, or
where another role's job may be hidden, it refuses, unless --allow-second is given.
Installed by a superuser the job runs as the owner of Multica's tables.

Exit code 0: the job is there. 1: another scheduler is in the way. 69: no database
answers. 77: a privilege is missing. 78: pg_cron is not loaded, or this is not
Multica's database.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.pgcron(cmd, func(ctx context.Context, admin *pgcron.Admin) error {
				change, err := admin.Install(ctx, second)
				return a.pgcronChanged(change, err)
			})
		},
	}
	cmd.Flags().BoolVar(&second, "allow-second", false, "beside another scheduler too, or one that may be hidden")
	return cmd
}

func newPgcronStatusCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the job, its last runs, and what else rolls up",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.pgcron(cmd, func(ctx context.Context, admin *pgcron.Admin) error {
				s, err := admin.Status(ctx)
				switch {
				case err != nil:
					return err
				case a.json:
					return a.printJSON(s)
				}
				return printPgcron(a.out, s)
			})
		},
	}
}

func newPgcronRemoveCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "remove",
		Short: "Remove the job",
		Long: `remove takes the roll-up of this database out of pg_cron: every job that calls the
function and does nothing else, whatever it is called. A job that does more is left,
and named.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.pgcron(cmd, func(ctx context.Context, admin *pgcron.Admin) error {
				change, err := admin.Remove(ctx)
				return a.pgcronChanged(change, err)
			})
		},
	}
}

// pgcron does something about pg_cron within a bounded time.
func (a *app) pgcron(cmd *cobra.Command, do func(context.Context, *pgcron.Admin) error) error {
	loaded, err := a.load(cmd)
	if err != nil {
		return err
	}
	connector, err := a.connector("pgcron")
	if err != nil {
		return err
	}
	var timer func(context.Context) (*units.Timer, error)
	if names, ok := unitNames(loaded.Path); ok {
		timer = func(ctx context.Context) (*units.Timer, error) {
			u, err := units.Read(ctx, names)
			if err != nil || u == nil {
				return nil, err
			}
			return u.Timer, nil
		}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), pgcronPatience)
	defer cancel()
	err = do(ctx, pgcron.New(connector, pipeline.Shipped(), scheduler.Kinds(), timer))
	err = unanswered(err, connector, pgcronPatience)
	return err
}

// pgcronChanged prints what install or remove did.
func (a *app) pgcronChanged(change *pgcron.Change, err error) error {
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(change)
	}
	var b bytes.Buffer
	for _, done := range change.Done {
		fmt.Fprintln(&b, done)
	}
	switch {
	case len(change.Done) > 0:
	case change.Job != nil:
		fmt.Fprintf(&b, "nothing to do: %s is there\n", change.Job)
	default:
		fmt.Fprintln(&b, "nothing to do: pg_cron has no job that rolls up this database")
	}
	for _, note := range change.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	_, err = a.out.Write(b.Bytes())
	return err
}

// inOneLine flattens a server's message.
func inOneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// printPgcron prints a status for people.
func printPgcron(out io.Writer, s *pgcron.Status) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "pg_cron: %s", s.Preload)
	if s.CronDatabase != "" {
		fmt.Fprintf(&b, ", works in database %s", s.CronDatabase)
		if s.Version != "" {
			fmt.Fprintf(&b, " (version %s)", s.Version)
		} else {
			fmt.Fprint(&b, ", where its extension is not created")
		}
	}
	fmt.Fprintf(&b, "\ndatabase: %s as role %s\n", s.Database, s.User)
	if s.Unreachable != "" {
		fmt.Fprintf(&b, "unreachable: %s\n", s.Unreachable)
	}
	switch {
	case s.Job != nil:
		fmt.Fprintf(&b, "job: %s\n", s.Job)
	case s.Readable:
		fmt.Fprintln(&b, "job: none")
	case s.CronDatabase != "":
		fmt.Fprintln(&b, "job: cannot be seen by this role")
	}
	for _, r := range s.Runs {
		at, took := "never", ""
		if r.Started != nil {
			at = report.Stamp(*r.Started)
			if r.Ended != nil {
				took = " in " + report.Duration(r.Ended.Sub(*r.Started))
			}
		}
		fmt.Fprintf(&b, "  %s %s%s: %s\n", at, r.Status, took, inOneLine(r.Message))
	}
	if s.Job != nil && len(s.Runs) == 0 {
		fmt.Fprintln(&b, "  no run yet")
	}
	for _, j := range s.Others {
		fmt.Fprintf(&b, "also: %s\n", j)
	}
	for _, j := range s.Kept {
		fmt.Fprintf(&b, "never run: %s\n", j)
	}
	for _, j := range s.Astray {
		fmt.Fprintf(&b, "astray: %s: %s\n", j, inOneLine(j.Message))
	}
	for _, o := range s.Second {
		fmt.Fprintf(&b, "also: %s\n", o.What)
	}
	if s.Readable && !s.SeesAll {
		fmt.Fprintf(&b, "jobs of other roles are hidden from role %s\n", s.User)
	}
	for _, hint := range s.Hints {
		fmt.Fprintf(&b, "next: %s\n", hint)
	}
	_, err := out.Write(b.Bytes())
	return err
}
