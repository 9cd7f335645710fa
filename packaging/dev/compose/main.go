// Command compose loads Compose files, merges them as Docker Compose does, and prints the project as JSON.
//
//	compose DIRECTORY FILE...
//
// FILE... is what docker compose is given by -f, DIRECTORY where it is typed: there .env is read, and paths
// within the files begin at the first one's directory. Tests of configs/compose run it.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "compose:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("want a directory and files")
	}
	if err := os.Chdir(args[0]); err != nil {
		return err
	}
	// The order in which Docker Compose has them.
	options, err := cli.NewProjectOptions(args[1:], cli.WithOsEnv, cli.WithDefaultProfiles(),
		cli.WithEnvFiles(), cli.WithDotEnv, cli.WithConfigFileEnv, cli.WithDefaultConfigPath, cli.WithDotEnv)
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(text))
	return err
}
