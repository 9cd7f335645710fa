package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/config"
)

func newConfigCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Check and show the configuration",
		GroupID: groupSetUp,
		Args:    commandOnly,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageProblem(cmd.CommandPath()+" --help lists the commands", "config wants check or show")
		},
	}
	cmd.AddCommand(newConfigCheckCmd(a), newConfigShowCmd(a))
	return cmd
}

func newConfigCheckCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Tell everything that is wrong with the configuration",
		Long: `Tell everything that is wrong with the configuration, with its lines, and exit with
78; or say that it is well. No database is asked: multica-rollup doctor does that.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := a.load(cmd)
			if err != nil {
				return err
			}
			connector, err := a.connector("config")
			if err != nil {
				return err
			}
			warnings := append([]string{}, loaded.Warnings...)
			_, ofUnits := unitNames(loaded.Path)
			if warning := loaded.PauseFileWarning(ofUnits); warning != "" {
				warnings = append(warnings, warning)
				a.log().Warn(warning)
			}
			if a.json {
				return a.printJSON(struct {
					OK       bool     `json:"ok"`
					File     string   `json:"file"`
					Target   string   `json:"target"`
					User     string   `json:"user"`
					Warnings []string `json:"warnings"`
				}{true, loaded.Path, connector.Target(), connector.User(), warnings})
			}
			source := loaded.Path
			if source == "" {
				source = "the environment"
			}
			_, err = fmt.Fprintf(a.out, "%s is well: role %s on %s\n", source, connector.User(), connector.Target())
			return err
		},
	}
}

func newConfigShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print the effective configuration and where each value came from",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := a.load(cmd)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(struct {
					File   string         `json:"file"`
					Values []config.Value `json:"values"`
				}{loaded.Path, loaded.Values()})
			}
			return loaded.WriteTOML(a.out)
		},
	}
}
