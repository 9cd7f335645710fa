package cli

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// The groups of commands in the help.
const (
	groupWork  = "work"
	groupLook  = "look"
	groupSetUp = "setup"
)

func newRootCmd(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   programName,
		Short: "Keep the usage tables of a self-hosted Multica right",
		Long: `multica-rollup fills task_usage_hourly, which the Usage and Runtime dashboards of a
self-hosted Multica read, and says so when it is behind or wrong.`,
		Args:          commandOnly,
		RunE:          func(*cobra.Command, []string) error { return noCommand() },
		SilenceErrors: true,
		SilenceUsage:  true,

		PersistentPreRunE: noEmptyFlags,
		// Cobra's own command adds shells that no packaged host has.
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(flagProblem)
	root.SetHelpCommand(&cobra.Command{Use: "no-help", Hidden: true, GroupID: groupSetUp})

	flags := root.PersistentFlags()
	flags.StringVar(&a.configPath, "config", "", "configuration `FILE` (default "+config.DefaultPath+")")
	flags.BoolVar(&a.json, "json", false, "print results as JSON")
	flags.BoolVar(&a.asRoot, "as-root", false, "stay root instead of becoming the user of the service")
	example(flags, "config", config.DefaultPath)
	config.BindFlags(flags, "")

	root.AddGroup(
		&cobra.Group{ID: groupWork, Title: "Work:"},
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupSetUp, Title: "Set up:"},
	)
	root.AddCommand(
		newRunCmd(a),
		newBackfillCmd(a),
		newStatusCmd(a),
		newGuardCmd(a),
		newDoctorCmd(a),
		newVerifyCmd(a),
		newUsageCmd(a),
		newPgcronCmd(a),
		newConfigCmd(a),
		newVersionCmd(a),
		newCompletionCmd(a),
	)
	for _, cmd := range root.Commands() {
		if cmd.Args == nil && !cmd.HasSubCommands() {
			cmd.Args = noArguments
		}
	}
	return root
}

func usageProblem(hint, format string, args ...any) error {
	return problem.New(problem.Usage, hint, format, args...)
}

func noCommand() error {
	return usageProblem(programName+" --help lists the commands", "no command given")
}

// commandOnly refuses what is no command of cmd, and offers what is near.
func commandOnly(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help lists the commands"
	cmd.SuggestionsMinimumDistance = 2 // cobra sets its default only where it words the error itself
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + cmd.CommandPath() + " " + strings.Join(near, " or ") + "?"
	}
	return usageProblem(hint, "unknown command %q", withoutDSN(args[0]))
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help"
	if watch := cmd.Flags().Lookup("watch"); watch != nil && watch.Changed { // pflag takes no value after a space here
		hint = config.FlagHint(watch)
	}
	return usageFor(cmd, usageProblem(hint, "%s takes no argument, but got %q", cmd.CommandPath(), withoutDSN(args[0])))
}

// usageFor keeps to the exit codes of monitoring plugins where cmd is one.
func usageFor(cmd *cobra.Command, err error) error {
	if cmd.Annotations[monitoringAnnotation] != "" {
		return couldNotCheck(err)
	}
	return err
}

var dsnLike = regexp.MustCompile(`[^\s"]*(://|password=)[^\s"]*`)

// withoutDSN masks what looks like a DSN among the arguments: the message may be logged.
func withoutDSN(s string) string { return dsnLike.ReplaceAllString(s, "(a DSN)") }
