package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/buildinfo"
)

func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print which build this is",
		GroupID: groupSetUp,
		RunE: func(*cobra.Command, []string) error {
			info := buildinfo.Read()
			if a.json {
				return a.printJSON(info)
			}
			var b strings.Builder
			fmt.Fprintf(&b, "%s %s\n", programName, info.Version)
			if info.Commit != "" {
				fmt.Fprintf(&b, "commit %s of %s\n", info.Commit, info.Date)
			}
			fmt.Fprintf(&b, "built with %s\n", info.Go)
			_, err := io.WriteString(a.out, b.String())
			return err
		},
	}
}

// printJSON prints a result as one indented document.
func (a *app) printJSON(v any) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("printing JSON: %w", err)
	}
	return nil
}
