package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/dsn"
)

// incompletable says whether args ask for the completion of a line that holds
// what must not be shown: cobra repeats what it cannot read on the standard error.
func incompletable(args []string) bool {
	if len(args) == 0 || args[0] != cobra.ShellCompRequestCmd && args[0] != cobra.ShellCompNoDescRequestCmd {
		return false
	}
	return slices.ContainsFunc(args[1:], func(arg string) bool {
		name, value, _ := strings.Cut(arg, "=")
		return dsn.ShowWord(name) == dsn.Hidden && dsn.ShowPath(name) == dsn.Hidden ||
			value != "" && dsn.ShowWord(value) == dsn.Hidden && dsn.ShowPath(value) == dsn.Hidden
	})
}

func newCompletionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print the completion script of a shell",
		Long: `Print the completion script of a shell. The packages install them; elsewhere:

  multica-rollup completion bash > /etc/bash_completion.d/multica-rollup`,
		GroupID:   groupSetUp,
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return usageProblem(programName+" completion bash", "completion takes one argument: bash, zsh or fish")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			switch args[0] {
			case "bash":
				err = cmd.Root().GenBashCompletionV2(a.out, true)
			case "zsh":
				err = cmd.Root().GenZshCompletion(a.out)
			case "fish":
				err = cmd.Root().GenFishCompletion(a.out, true)
			default:
				return usageProblem(programName+" completion bash", "there is no completion for %s, only for bash, zsh and fish", dsn.ShowWord(args[0]))
			}
			if err != nil {
				return fmt.Errorf("writing the completion script: %w", err)
			}
			return nil
		},
	}
}
