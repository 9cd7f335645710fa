package bench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// table is a table in Markdown; its first row is the head.
type table struct{ rows []string }

func (t *table) row(cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = fmt.Sprint(c)
	}
	t.rows = append(t.rows, "| "+strings.Join(texts, " | ")+" |")
	if len(t.rows) == 1 {
		t.rows = append(t.rows, "|"+strings.Repeat(" --- |", len(cells)))
	}
}

func (t *table) String() string { return strings.Join(t.rows, "\n") + "\n" }

func (o Options) report(ctx context.Context, server *lab.Server, backfills *table, steady *ticks, bulks, writers *table) error {
	conn, err := pgx.Connect(ctx, server.DSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var version string
	if err := conn.QueryRow(ctx, "select current_setting('server_version')").Scan(&version); err != nil {
		return err
	}
	pages := ""
	if o.Huge {
		pages = " in huge pages, as PostgreSQL's manual advises for that size"
	}
	_, err = fmt.Fprintf(o.Out, `# Benchmarks

Made by %[1]smake bench%[1]s, everything in one run. Absolute times are this machine's;
what counts are the ratios.

- Machine: %[2]d cores (%[3]s), %[4]s of memory, %[5]s.
- PostgreSQL %[6]s, fsync on, shared_buffers 1 GB%[12]s, autovacuum off (so that it falls into nobody's time).
- Data: our own Multica-shaped schema, generation 272; the lab's typical history of twelve months
  (5 %% corrections, a tenth of them a month or more later, two batches with one timestamp,
  a tenth of the rows without updated_at), six agents on two runtimes, generated from seed 1.
- The month walk's time depends on the tasks each agent ran on each runtime. Six agents on two runtimes were
  chosen so that it takes about what was measured on installations of Multica (17 s at 10,000 tasks, 144 s at
  30,000); with the lab's default of 24 agents on 8 runtimes it is several times faster.
- Date: %[7]s.

## A whole history into an empty table

The bare INSERT … SELECT is the limit: no locks, no slices, nothing to resume. It and the backfill
ran twice in turn, and the better time of each is shown; wall time of the whole process.
The month walk is the database's own window function over calendar months, as Multica's
backfill command calls it.

%[8]s
## A steady tick

Wall time, server time and peak memory of the client, as medians of a series of each kind. Server time is
what the server logs for the statements of the tick's session: parsing, planning and execution.
Each tick comes in the middle of an hour of its own, which has half an hour of such events before it, rolled
up. New usage is that of new tasks, and one event in eleven is a correction of older usage in the hour. Eleven
events in five minutes are about what a million tasks a year bring. With more, more of a tick is the looking
up of tasks by their random ids, which takes longer in a larger index; above all without huge pages, where a
fresh session pays for each page that it touches for the first time.

%[9]s
## What comes at once

One run each. The queue: tasks moved to another runtime by one statement, so that all their keys are
invalidated with one timestamp. The batch: usage rows from all over history corrected by one statement,
with one updated_at.

%[10]s
## A writer beside it

Single-row corrections, at most two hundred a second.

%[11]s`, "`", runtime.NumCPU(), cpu(), memory(), runtime.GOOS+"/"+runtime.GOARCH, version, time.Now().UTC().Format(time.DateOnly), backfills, steady, bulks, writers, pages)
	return err
}

func cpu() string {
	return field("/proc/cpuinfo", "model name")
}

func memory() string {
	return field("/proc/meminfo", "MemTotal")
}

// field returns the first value of a key in a /proc file, "unknown" where there is none.
func field(path, key string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

func quantiles(list []time.Duration) string {
	if len(list) == 0 {
		return "none"
	}
	list = slices.Sorted(slices.Values(list))
	at := func(q float64) time.Duration { return list[int(q*float64(len(list)-1))] }
	return fmt.Sprintf("%.2f / %.2f ms", at(0.5).Seconds()*1000, at(0.99).Seconds()*1000)
}
