// Command multica-lab runs a throw-away PostgreSQL with a Multica-shaped database, fills it with
// history and keeps writing to it as a running Multica does. For demo, tests and benchmarks.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(report(err, os.Stderr))
}

// report prints an error as one line and its hint, and returns the exit code.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	if _, ok := errors.AsType[verdict](err); ok {
		return 1 // already told on stdout
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1) // psql has told why; -1 means that a signal ended it
	}
	fmt.Fprintf(stderr, "multica-lab: %v\n", err)
	if hint := problem.HintOf(err); hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", hint)
	}
	return problem.KindOf(err).ExitCode()
}

// verdict is a "no" that a command has printed as its result.
type verdict struct{}

// Error is never shown.
func (verdict) Error() string { return "the verdict is no" }

// target says which database a command works on.
type target struct {
	dir      string
	database string
	dsn      string
	named    bool // the database, by --database
}

// run executes one command line.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var t target
	root := &cobra.Command{
		Use:           "multica-lab",
		Short:         "a throw-away PostgreSQL with a Multica-shaped database",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().StringVar(&t.dir, "dir", defaultDir(), "where the server lives")
	root.PersistentFlags().StringVar(&t.database, "database", "multica", "the database in it")
	root.PersistentFlags().StringVar(&t.dsn, "dsn", "", "another server to work on instead (a superuser's URL); its database unless --database is given")
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) { t.named = cmd.Flags().Changed("database") }
	root.AddCommand(startCommand(&t), createCommand(&t), stopCommand(&t), seedCommand(&t), loadCommand(&t), psqlCommand(&t), guardCommand(&t), oracleCommand(&t), benchCommand())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return problem.Wrap(err, problem.Usage, cmd.CommandPath()+" --help", "%v", err)
	})
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

// defaultDir is a directory of each user's own in the place for temporary files.
func defaultDir() string { return fmt.Sprintf("%s/multica-lab-%d", os.TempDir(), os.Getuid()) }

// resolve returns the DSN to work on: the given one, in the database that is named besides, or that
// of the server started in dir.
func (t *target) resolve(ctx context.Context) (string, error) {
	if t.dsn != "" && !t.named {
		return t.dsn, nil
	}
	server, err := t.server(ctx)
	if err != nil {
		return "", err
	}
	return server.DSN(t.database), nil
}

// server is the one that --dsn names, or the lab's.
func (t *target) server(ctx context.Context) (*lab.Server, error) {
	if t.dsn != "" {
		return lab.Start(ctx, lab.Options{DSN: t.dsn})
	}
	return t.attach(ctx)
}

// attach returns the server started in dir.
func (t *target) attach(ctx context.Context) (*lab.Server, error) {
	server, err := lab.Attach(ctx, t.dir)
	if errors.Is(err, lab.ErrNotRunning) {
		return nil, problem.Wrap(err, problem.Unreachable, "multica-lab start, or give --dsn", "no lab is running in %s", t.dir)
	}
	return server, err
}
