package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/dsn"
)

// example gives flags that are no keys what hints show of them: a good value.
func example(flags *pflag.FlagSet, name, value string) {
	if err := flags.SetAnnotation(name, config.FlagExample, []string{value}); err != nil {
		panic(err) // the flag's name is the program's own text
	}
}

// flagHint says what to type for a flag, from its example.
func flagHint(cmd *cobra.Command, flag *pflag.Flag) string {
	if flag != nil {
		if hint := config.FlagHint(flag); hint != "" {
			return hint
		}
		if flag.Value.Type() == "bool" {
			return "write --" + flag.Name + ", or leave it away"
		}
	}
	return cmd.CommandPath() + " --help lists the flags"
}

// flagProblem words the errors that pflag has.
func flagProblem(cmd *cobra.Command, err error) error {
	hint, text := flagHint(cmd, nil), "the flags cannot be read"
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		text = "unknown flag " + shownFlag("--", e.GetSpecifiedName())
		if group := e.GetSpecifiedShortnames(); group != "" {
			text = "unknown flag " + shownFlag("-", group)
		}
		if strings.HasPrefix(e.GetSpecifiedName(), "dsn") {
			hint = "arguments of a process are public: write the DSN into " + config.DefaultPath + ", or set MULTICA_ROLLUP_DSN"
		}
	}
	if e, ok := errors.AsType[*pflag.InvalidSyntaxError](err); ok {
		text = dsn.ShowWord(e.GetSpecifiedFlag()) + " is no flag"
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		text, hint = "--"+e.GetFlag().Name+" needs a value", flagHint(cmd, e.GetFlag())
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		text = fmt.Sprintf("--%s %s %s", e.GetFlag().Name, dsn.ShowWord(e.GetValue()), badValue(e.GetFlag().Value.Type(), e.GetValue()))
		hint = flagHint(cmd, e.GetFlag())
	}
	return usageFor(cmd, usageProblem(hint, "%s", text))
}

// shownFlag is a flag as it was written, where it cannot be a part of a DSN.
func shownFlag(dashes, name string) string {
	if dsn.ShowWord(name) == dsn.Hidden {
		return dsn.Hidden
	}
	return dashes + name
}

// badValue says what is wrong with a value that pflag refused for a type of its own.
func badValue(kind, value string) string {
	switch kind {
	case "bool":
		return "must be true or false"
	case "int":
		if _, err := strconv.Atoi(value); errors.Is(err, strconv.ErrRange) {
			return "is out of all range"
		}
		return "must be a whole number"
	case "duration":
		return config.BadDuration(value)
	}
	return "cannot be read"
}

// noEmptyFlags refuses flags that were given without a value, as by a variable of
// a script that happened to be empty: each would quietly mean its default, and
// so all of history, any hour, or every check.
func noEmptyFlags(cmd *cobra.Command, _ []string) error {
	var texts []string
	hint := ""
	cmd.Flags().Visit(func(f *pflag.Flag) {
		slice, isSlice := f.Value.(pflag.SliceValue)
		if f.Value.String() != "" && !(isSlice && len(slice.GetSlice()) == 0) {
			return
		}
		texts = append(texts, "--"+f.Name+" is given, but empty")
		if hint == "" {
			hint = flagHint(cmd, f)
		}
	})
	if len(texts) == 0 {
		return nil
	}
	return usageFor(cmd, usageProblem(hint, "%s", strings.Join(texts, "\n")))
}
