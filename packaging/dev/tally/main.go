// Command tally turns the output of `go test -json` into what a person reads: a line for each package,
// the output of what failed, and `N passed, N failed` as its last line.
//
// It exits with 1 when anything failed, was skipped (what a build of PostgreSQL is listed to lack excepted), or when no test ran at all: a run that proves
// nothing must not look green.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	record := flag.String("record", "", "append a line `passed failed` to this `FILE`")
	verbose := flag.Bool("v", false, "name each test as it ends")
	flag.Parse()
	os.Exit(run(os.Stdin, os.Stdout, os.Stderr, *record, *verbose))
}

func run(in io.Reader, out, diagnostics io.Writer, record string, verbose bool) int {
	count := newTally(out, verbose)
	if err := count.read(in); err != nil {
		fmt.Fprintf(diagnostics, "tally: %v\n", err)
		return 1
	}
	passed, failed := count.totals()
	if record != "" {
		if err := appendLine(record, fmt.Sprintf("%d %d\n", passed, failed)); err != nil {
			fmt.Fprintf(diagnostics, "tally: recording the count: %v\n", err)
			return 1
		}
	}
	count.writeOmitted()
	fmt.Fprintf(out, "%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		return 1
	}
	if passed == 0 {
		fmt.Fprintln(diagnostics, "tally: no test ran")
		return 1
	}
	return 0
}

func appendLine(path, line string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := file.WriteString(line); err != nil {
		_ = file.Close() // what was not written is the error
		return err
	}
	return file.Close()
}
