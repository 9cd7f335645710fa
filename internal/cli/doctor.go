package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/doctor"
	"github.com/multica-rollup/multica-rollup/internal/dsn"
	"github.com/multica-rollup/multica-rollup/internal/identity"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

// doctorFlags are those of the command.
type doctorFlags struct {
	all, list, verbose bool
	only               []string
}

func newDoctorCmd(a *app) *cobra.Command {
	var f doctorFlags
	cmd := monitoring(&cobra.Command{
		Use:     "doctor",
		Short:   "Find out why the dashboard is at zero or wrong, and what mends it",
		GroupID: groupLook,
		Long: `doctor looks for every known cause of a dashboard at zero or of a wrong number. It
reads only. Of what it finds it names the cause, with evidence and the one command
or statement that mends it; mere consequences become evidence of their cause. What
it gives as a psql command is for a superuser, or the owner of Multica's tables.

Exit code 0: all is well. 1: a warning. 2: critical. 3: could not check.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd, &f) },
	})
	flags := cmd.Flags()
	flags.BoolVar(&f.all, "all", false, "every database of this host: rollup.toml and rollup.d/*.toml")
	flags.BoolVar(&f.list, "list", false, "list the checks instead")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print in full what is well, too")
	flags.StringSliceVar(&f.only, "only", nil, "only the checks with these `ID`s, and what they build on")
	example(flags, "only", "config,timer")
	return cmd
}

func (a *app) doctor(cmd *cobra.Command, f *doctorFlags) error {
	checks := doctor.All()
	for _, id := range f.only {
		if !slices.ContainsFunc(checks, func(c doctor.Check) bool { return c.ID == id }) {
			return usageProblem("multica-rollup doctor --list names them", "there is no check %s", dsn.ShowWord(id))
		}
	}
	if f.list {
		return a.listChecks(checks)
	}
	instances, err := a.patients(cmd, f.all)
	if err != nil {
		return err
	}
	if err := wrongFlag(instances); err != nil {
		return err
	}
	var reports []*doctor.Report
	code := doctor.OK
	for i, instance := range instances {
		report := doctor.Examine(cmd.Context(), a.patient(instance), checks, f.only...)
		if err := cmd.Context().Err(); err != nil {
			return err // the findings would be of the interruption
		}
		reports = append(reports, report)
		code = doctor.Worse(code, report.Verdict)
		if a.json {
			continue
		}
		if f.all {
			apart := ""
			if i > 0 {
				apart = "\n"
			}
			if _, err := fmt.Fprintf(a.out, "%s%s (%s)\n", apart, instance.Label(), orUnknown(report.Target)); err != nil {
				return err
			}
		}
		if err := report.Write(a.out, f.verbose); err != nil {
			return err
		}
	}
	switch {
	case a.json && f.all:
		err = a.printJSON(struct {
			SchemaVersion int              `json:"schema_version"`
			Verdict       doctor.Verdict   `json:"verdict"`
			Instances     []*doctor.Report `json:"instances"`
		}{doctor.SchemaVersion, code, reports})
	case a.json:
		err = a.printJSON(reports[0])
	}
	if err != nil {
		return err
	}
	return exitWith(code.ExitCode())
}

func orUnknown(target string) string {
	if target == "" {
		return "no database"
	}
	return target
}

func (a *app) listChecks(checks []doctor.Check) error {
	type entry struct {
		ID    string `json:"id"`
		Title string `json:"title"`
	}
	var list []entry
	for _, c := range checks {
		list = append(list, entry{c.ID, c.Title})
	}
	if a.json {
		return a.printJSON(list)
	}
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, e := range list {
		fmt.Fprintf(table, "%s\t%s\n", e.ID, e.Title)
	}
	return table.Flush()
}

// patients are the databases to look at. What is wrong with a configuration is a
// finding, not an error; so it is loaded here and not by app.load.
func (a *app) patients(cmd *cobra.Command, all bool) ([]instance, error) {
	if all {
		return a.instances(cmd)
	}
	one := instance{Name: instanceName(a.configPath), Path: a.configPath}
	one.Loaded, one.Err = config.Load(config.Options{
		Path: a.configPath, Explicit: cmd.Flags().Changed("config"), Env: os.Environ(), Flags: cmd.Flags(),
		Credential: unitCredential(cmd.Context(), a.configPath),
	})
	if !a.asRoot {
		if err := identity.Become(identity.ServiceUser); err != nil {
			return nil, err
		}
	}
	if one.Err == nil {
		one.Loaded.StateDir = instanceStateDir(one.Loaded) // known only now that we are who we are
	}
	return []instance{one}, nil
}

// patient is what the checks look at for one database.
func (a *app) patient(i instance) *doctor.Env {
	env := &doctor.Env{
		Instance: i.Name, ConfigPath: i.Path, Config: i.Loaded, ConfigErr: i.Err,
		Known: pipeline.Shipped(), Schedulers: scheduler.Kinds(), Now: time.Now, Limits: doctor.DefaultLimits(),
	}
	path := i.Path
	if i.Loaded != nil {
		path = i.Loaded.Path
		env.StateDir = i.Loaded.StateDir
		connector, err := pg.NewConnector(i.Loaded.DSN, programName+"/doctor")
		if err != nil {
			env.Config, env.ConfigErr = nil, err
		}
		env.Connector = connector
	}
	if names, ours := unitNames(path); ours {
		env.Units = func(ctx context.Context) (*units.Units, error) { return units.Read(ctx, names) }
	}
	return env
}
