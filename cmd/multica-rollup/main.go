// Command multica-rollup keeps the usage tables of a self-hosted Multica right.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/multica-rollup/multica-rollup/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for a clean end; a second one ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.ExitCode(cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)))
}
