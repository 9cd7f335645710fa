package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/dsn"
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
	return usageProblem(hint, "unknown command %s", dsn.ShowWord(args[0]))
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help"
	if watch := cmd.Flags().Lookup("watch"); watch != nil && watch.Changed { // pflag takes no value after a space here
		hint = config.FlagHint(watch)
	}
	return usageFor(cmd, usageProblem(hint, "%s takes no argument, but got %s", cmd.CommandPath(), dsn.ShowWord(args[0])))
}

// usageFor keeps to the exit codes of monitoring plugins where cmd is one.
func usageFor(cmd *cobra.Command, err error) error {
	if cmd.Annotations[monitoringAnnotation] != "" {
		return couldNotCheck(err)
	}
	return err
}

// noSecrets refuses arguments that are a DSN with a password, or near to one: every
// user of the host may have read them by now.
func noSecrets(cmd *cobra.Command, args []string) error {
	for i, arg := range args {
		name, value, isAssigned := strings.Cut(arg, "=")
		isFlag := strings.HasPrefix(name, "-") && isAssigned
		if dsn.HoldsSecret(arg) || isFlag && dsn.HoldsSecret(value) {
			return usageFor(cmd, usageProblem(secretHint, "argument %d is a DSN with a password, or near to one, and every user can read the arguments of a process", i+1))
		}
	}
	return nil
}

// secretHint is where a DSN belongs.
const secretHint = "change the password if others use this host; write the DSN into " + config.DefaultPath +
	`, or into a file or a systemd credential that dsn_file = "/PATH" or "credential:NAME" names there`
