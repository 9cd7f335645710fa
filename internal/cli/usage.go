package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a minimal host or an image may have no zones, and a name is checked before the database is asked

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/dsn"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/usage"
)

// usageDays is how many days are shown unless told otherwise, as on the dashboard.
const usageDays = 30

// usageFlags are the command's own flags.
type usageFlags struct {
	by       []string
	when     usage.When
	per      string
	timezone string
	filters  map[usage.Dimension]*[]string
	limit    int
	ids, csv bool
}

func newUsageCmd(a *app) *cobra.Command {
	f := usageFlags{filters: map[usage.Dimension]*[]string{}}
	cmd := &cobra.Command{
		Use:     "usage",
		Short:   "Show what the dashboards show, in figures",
		GroupID: groupLook,
		Long: `usage shows the tokens of an interval, for each workspace: the figures of Multica's
Usage dashboard, to the token, from the table that the dashboard reads. TOKENS is the
sum of all four kinds, cache reads included. Days are local dates in --timezone, and a
bucket belongs to the date that it begins on; weeks begin on Monday.

Costs are those that providers reported; * marks a sum of which a part is not known.
The dashboard adds estimates from price lists, which are not in the database. Usage
whose runtime was deleted is in no dashboard, and has a line of its own.

This is the view of whoever owns the database: nothing is folded for privacy. Names
need privileges that the roll-up does not: see role-names.sql among the examples.
Without them ids are shown.

It only reads. Exit code 0: shown. 64: the command line is wrong; 69: no database
answers; 77: a privilege is missing; 78: the configuration, or not Multica's database.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.usage(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.by, "by", []string{string(usage.Agent)}, "sum by `WHAT`: agent, project, model, provider, runtime, workspace; several with commas between")
	flags.StringVar(&f.per, "per", "", "a row for each `PERIOD`: day, week or month; default the whole interval")
	flags.IntVar(&f.when.Days, "days", 0, fmt.Sprintf("the last `N` days, today included (default %d)", usageDays))
	flags.IntVar(&f.when.Weeks, "weeks", 0, "the last `N` calendar weeks, the current one included")
	flags.StringVar(&f.when.Since, "since", "", "first `DATE`, as 2026-08-24")
	flags.StringVar(&f.when.Until, "until", "", "last `DATE`, included; default today")
	flags.StringVar(&f.timezone, "timezone", "UTC", "`NAME` of the time zone of days")
	for _, d := range usage.Dimensions() {
		f.filters[d] = new([]string)
		what := "only the " + string(d) + " with this `NAME` or id; repeatable"
		if d == usage.Provider || d == usage.Model {
			what = "only the " + string(d) + " of this `NAME`; repeatable"
		}
		flags.StringArrayVar(f.filters[d], string(d), nil, what)
		example(flags, string(d), "NAME")
	}
	flags.IntVar(&f.limit, "limit", 0, "at most `N` rows in each period of each workspace; default all")
	flags.BoolVar(&f.ids, "ids", false, "print full ids instead of names in tables")
	flags.BoolVar(&f.csv, "csv", false, "print CSV")
	for name, value := range map[string]string{
		"by": "agent,model", "per": "day", "days": "30", "weeks": "4", "since": "2026-08-24", "until": "2026-09-22",
		"timezone": "Asia/Shanghai", "limit": "20",
	} {
		example(flags, name, value)
	}
	complete := func(flag string, values []string) {
		if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // the flag's name is the program's own text
		}
	}
	complete("by", dimensionNames())
	complete("per", usage.Periods())
	for _, name := range append(dimensionNames(), "days", "weeks", "since", "until", "timezone", "limit") {
		complete(name, nil)
	}
	return cmd
}

func dimensionNames() []string {
	var names []string
	for _, d := range usage.Dimensions() {
		names = append(names, string(d))
	}
	return names
}

// usageQuery checks the command line, before anything is connected.
func usageQuery(cmd *cobra.Command, f usageFlags) (q usage.Query, err error) {
	changed := cmd.Flags().Changed
	q = usage.Query{Per: f.per, Timezone: f.timezone, When: f.when, Filters: map[usage.Dimension][]string{}}
	for _, name := range f.by {
		switch d := usage.Dimension(name); {
		case !slices.Contains(usage.Dimensions(), d):
			return q, usageProblem("multica-rollup usage --by agent,model", "--by %s is none of %s", dsn.ShowWord(name), strings.Join(dimensionNames(), ", "))
		case q.Has(d):
			return q, usageProblem("multica-rollup usage --by agent,model", "--by names %s twice", d)
		default:
			q.By = append(q.By, d)
		}
	}
	switch {
	case f.per != "" && !slices.Contains(usage.Periods(), f.per):
		return q, usageProblem("multica-rollup usage --per day", "--per %s is none of %s", dsn.ShowWord(f.per), strings.Join(usage.Periods(), ", "))
	case changed("days") && f.when.Days < 1:
		return q, usageProblem("multica-rollup usage --days 30", "--days is %d: want 1 to %d", f.when.Days, usage.MostDays)
	case changed("weeks") && f.when.Weeks < 1:
		return q, usageProblem("multica-rollup usage --weeks 4", "--weeks is %d: want 1 to %d", f.when.Weeks, usage.MostWeeks)
	case changed("limit") && f.limit < 1:
		return q, usageProblem("multica-rollup usage --limit 20", "--limit is %d: want 1 or more", f.limit)
	}
	if q.When == (usage.When{}) {
		q.When.Days = usageDays
	}
	if err := q.When.Check(); err != nil {
		return q, usageProblem("multica-rollup usage --since 2026-08-24 --until 2026-09-22", "%v", err)
	}
	// "Local" is the host's own zone, which PostgreSQL knows nothing of.
	if _, err := time.LoadLocation(f.timezone); err != nil || f.timezone == "Local" {
		return q, usage.UnknownZone(f.timezone)
	}
	for d, values := range f.filters {
		if slices.Contains(*values, "") && d != usage.Provider && d != usage.Model {
			return q, usageProblem("for instance --"+string(d)+" NAME", "--%s is given, but empty", d)
		}
		q.Filters[d] = *values
	}
	return q, nil
}

func (a *app) usage(cmd *cobra.Command, f usageFlags) error {
	q, err := usageQuery(cmd, f)
	if err == nil && f.csv && a.json {
		err = usageProblem("multica-rollup usage --csv", "--csv cannot be combined with --json")
	}
	if err == nil && f.ids && (f.csv || a.json) {
		err = usageProblem("multica-rollup usage --ids", "--ids is for tables: CSV and JSON have ids and names")
	}
	if err != nil {
		return err
	}
	loaded, err := a.load(cmd)
	if err != nil {
		return err
	}
	connector, err := a.connector("usage")
	if err != nil {
		return err
	}
	r, err := usage.Read(cmd.Context(), usage.Options{
		Connector: connector, Known: pipeline.Shipped(), StatementTimeout: loaded.Config.Walk.StatementTimeout,
	}, q)
	if unknown, ok := errors.AsType[*usage.UnknownNameError](err); ok {
		return problem.Wrap(err, problem.Usage, fmt.Sprintf("multica-rollup usage --by %s lists them; what was deleted has an id only", unknown.Dimension),
			"--%s %s is the name of none", unknown.Dimension, dsn.ShowName(unknown.Value))
	}
	if err != nil {
		return err
	}
	if len(r.Grants) > 0 {
		a.say("%s: ids are shown where names cannot be read; to see them: %s\n", programName, a.redact(strings.Join(r.Grants, "; ")))
	}
	switch {
	case a.json:
		err = a.printJSON(r.JSON(f.limit))
	case f.csv:
		err = r.WriteCSV(a.out, f.limit)
	default:
		err = r.WriteTable(a.out, a.style(), f.limit, f.ids)
	}
	if err != nil {
		return fmt.Errorf("printing usage: %w", err)
	}
	return nil
}
