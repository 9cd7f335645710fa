// Command sbom says what a built program contains, from what the Go toolchain
// recorded in it and from the modules' own licence files.
//
//	sbom -spdx multica-rollup.spdx.json -name multica-rollup -version 1.2.3 BINARY
//	sbom -copyright copyright -header packaging/copyright.in BINARY
//
// The first is an SPDX 2.3 bill of materials, dated SOURCE_DATE_EPOCH; the second
// a machine-readable copyright file (DEP-5) with the licence of every module that
// is linked in. A licence that it does not recognize is an error: somebody has to
// look at it before the program is given away.
package main

import (
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("sbom", flag.ContinueOnError)
	spdxPath := flags.String("spdx", "", "`FILE` for the bill of materials")
	copyrightPath := flags.String("copyright", "", "`FILE` for the copyright file")
	header := flags.String("header", "", "`FILE` with the first paragraphs of the copyright file")
	name := flags.String("name", "", "name of the program")
	version := flags.String("version", "", "version of the program")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("want one binary")
	}
	info, err := buildinfo.ReadFile(flags.Arg(0))
	if err != nil {
		return fmt.Errorf("reading what %s contains: %w", flags.Arg(0), err)
	}
	modules, err := findModules(info)
	if err != nil {
		return err
	}
	if *spdxPath != "" {
		document, err := spdxDocument(flags.Arg(0), *name, *version, info, modules)
		if err != nil {
			return err
		}
		if err := os.WriteFile(*spdxPath, document, 0o644); err != nil { //nolint:gosec // published
			return fmt.Errorf("writing the bill of materials: %w", err)
		}
	}
	if *copyrightPath != "" {
		first, err := os.ReadFile(*header)
		if err != nil {
			return fmt.Errorf("reading the copyright header: %w", err)
		}
		if err := os.WriteFile(*copyrightPath, copyrightFile(string(first), modules), 0o644); err != nil { //nolint:gosec // published
			return fmt.Errorf("writing the copyright file: %w", err)
		}
	}
	return nil
}
