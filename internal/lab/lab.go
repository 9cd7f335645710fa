// Package lab is a throw-away PostgreSQL with Multica-shaped databases in it: for the tests, the
// demo and the benchmarks of multica-rollup. It is never packaged.
//
// The schema is the project's own, written from what is known of Multica's releases. Its functions
// do what the real ones do, their faults included, since they are what the agent is compared with.
package lab

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Generation names a state of Multica's schema by the last migration that matters here.
type Generation string

// The generations, with the releases that have them.
const (
	// Gen097 is v0.3.4: no hourly pipeline, the legacy daily rollups only.
	Gen097 Generation = "097"
	// Gen102 is v0.3.5 to v0.3.16: the hourly pipeline as it came, 103 applied.
	Gen102 Generation = "102"
	// Gen213 is v0.4.10 to v0.4.15: usage may carry a cost; the backend schedules the rollup itself,
	// which it does from v0.3.17 on.
	Gen213 Generation = "213"
	// Gen272 is v0.4.23 and on: the tick's lock is the transaction's, a runtime's deletion detaches
	// its tasks, and a task has the 53 columns and 20 indexes of v0.4.32.
	Gen272 Generation = "272"
	// GenInterrupted is an upgrade from v0.3.4 that stopped at 103's guard: 101 and 102 applied,
	// the legacy daily tables still there, the watermark at the epoch.
	GenInterrupted Generation = "interrupted-upgrade"
)

// migrations lists the schema's files of each generation in the order they are applied.
func (g Generation) migrations() ([]string, error) {
	steps := []string{"097_base.sql"}
	for _, more := range []struct {
		since []Generation
		files []string
	}{
		{[]Generation{GenInterrupted, Gen102, Gen213, Gen272}, []string{"101_hourly_schema.sql", "102_hourly_pipeline.sql", "102_triggers.sql"}},
		{[]Generation{Gen102, Gen213, Gen272}, []string{"103_guard.sql", "103_drop_legacy.sql"}},
		{[]Generation{Gen213, Gen272}, []string{"113_sys_cron_executions.sql", "213_cost.sql"}},
		{[]Generation{Gen272}, []string{"243_teardown.sql", "251_runtime_nullable.sql", "272_xact_lock.sql", "272_wide_tasks.sql"}},
	} {
		if slices.Contains(more.since, g) {
			steps = append(steps, more.files...)
		}
	}
	if !slices.Contains(Generations(), g) {
		return nil, fmt.Errorf("unknown generation %q, want one of %v", string(g), Generations())
	}
	return steps, nil
}

// Generations returns all generations, oldest first.
func Generations() []Generation {
	return []Generation{Gen097, GenInterrupted, Gen102, Gen213, Gen272}
}

// HasCost reports whether usage rows of this generation carry a cost.
func (g Generation) HasCost() bool { return g == Gen213 || g == Gen272 }

// script returns the generation's whole schema as one SQL script.
func (g Generation) script() (string, error) {
	files, err := g.migrations()
	if err != nil {
		return "", err
	}
	return concat(files)
}

// concat returns the embedded schema files one after the other.
func concat(files []string) (string, error) {
	var all strings.Builder
	for _, name := range files {
		text, err := schemaFiles.ReadFile("schema/" + name)
		if err != nil {
			return "", fmt.Errorf("reading embedded schema: %w", err)
		}
		all.Write(text)
	}
	return all.String(), nil
}
