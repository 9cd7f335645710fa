// Package cli is the program's command line.
//
// Results go to stdout, diagnostics to stderr. An error is one line per fault,
// "multica-rollup: …", lower case and without a full stop, then a line "hint: …"
// with what to type; only Run prints them, and only ExitCode turns them into an
// exit code.
package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/identity"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

// programName is also the prefix of errors and of application_name.
const programName = "multica-rollup"

// Run executes one command line, without the program's name. It has printed the
// error that it returns; ExitCode gives the exit code of that.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	// Before anything is read: the DSN must not end up in a core file.
	identity.ForbidCoreDumps()
	a := &app{in: stdin, out: stdout, err: journal.OnTerminal(stderr)}
	a.setLog(config.Defaults(), nil)
	root := newRootCmd(a)
	root.SetArgs(args)
	command, _, _ := root.Find(args) // where none is found it is root, which words the error
	err := noSecrets(command, args)
	switch {
	case err != nil:
	case incompletable(args):
		_, err = fmt.Fprintf(stdout, ":%d\n", cobra.ShellCompDirectiveNoFileComp)
	default:
		command, err = root.ExecuteContextC(ctx)
	}
	a.report(command, err)
	journal.Drain(a.log().Handler())
	return err
}

// app is what every command is built with: the streams, the global flags, and
// the configuration once a command asked for it.
type app struct {
	in  io.Reader
	out io.Writer // results
	err io.Writer // diagnostics

	configPath string // --config; "" means the default
	json       bool   // --json
	asRoot     bool   // --as-root

	loaded *config.Loaded
	all    []instance    // of --all, once they are loaded
	opened *pg.Connector // the latest, since it knows passwords from libpq's files
	logger *slog.Logger

	fixedStyle *report.Style // of pages that --watch collects before it prints them; nil asks stdout
	native     bool          // the log is for machines, so errors go there too
}

// load reads the configuration, once, with the flags of cmd that are bound to
// keys, and then gives up root's rights unless told otherwise. All that follows
// acts as the same user as the service does.
func (a *app) load(cmd *cobra.Command) (*config.Loaded, error) {
	if a.loaded != nil {
		return a.loaded, nil
	}
	loaded, err := config.Load(config.Options{
		Path:     a.configPath,
		Explicit: cmd.Flags().Changed("config"),
		Env:      os.Environ(),
		Flags:    cmd.Flags(),

		Credential: unitCredential(cmd.Context(), a.configPath),
	})
	if err != nil {
		return nil, err
	}
	if !a.asRoot {
		if err := identity.Become(identity.ServiceUser); err != nil {
			return nil, err
		}
	}
	loaded.StateDir = instanceStateDir(loaded)
	a.loaded = loaded
	a.setLog(loaded.Config, a.redact)
	for _, warning := range loaded.Warnings {
		a.log().Warn(warning)
	}
	return loaded, nil
}

// unitCredential returns what finds the credentials of the service that works
// by a configuration file; "" is the default one. It asks systemd when it is asked.
func unitCredential(ctx context.Context, path string) func(name string) (string, bool) {
	if path == "" {
		path = config.DefaultPath
	}
	return func(name string) (string, bool) {
		names, ok := unitNames(path)
		if !ok {
			return "", false
		}
		files, err := units.Credentials(ctx, names.Service)
		if err != nil {
			return "", false // the fault that follows says what was wanted
		}
		file, ok := files[name]
		return file, ok
	}
}

// connector returns what opens connections for the named command; load comes first.
func (a *app) connector(command string) (*pg.Connector, error) {
	connector, err := pg.NewConnector(a.loaded.Config.DSN, programName+"/"+command)
	if err != nil {
		return nil, err
	}
	a.opened = connector
	return connector, nil
}

// redact masks the password in what is to be printed or logged.
func (a *app) redact(s string) string {
	if a.loaded != nil {
		s = a.loaded.Redact(s)
	}
	if a.opened != nil {
		s = a.opened.Redact(s)
	}
	return s
}

// log returns the program's logger.
func (a *app) log() *slog.Logger { return a.logger }

// setLog is the one place that decides where the log goes.
func (a *app) setLog(c config.Config, redact func(string) string) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo // the configuration has checked it; flags may not have been read yet
	}
	format := journal.Format(c.LogFormat)
	if !slices.Contains(journal.Formats(), format) {
		format = journal.Auto
	}
	a.native = format == journal.JSON || format == journal.Auto && journal.Connected(a.err)
	a.logger = slog.New(journal.NewHandler(journal.Options{
		Stderr: a.err, Format: format, Level: level, Redact: redact,
	}))
}
