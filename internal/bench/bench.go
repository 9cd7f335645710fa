// Package bench measures the agent beside what it replaces, on one database in
// one run: the database's own window function walked by months, as Multica's
// backfill command does it, and as the limit one bare INSERT … SELECT.
package bench

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

var statements = sqltext.Embedded(sqlFiles)

func statement(name string) string { return statements.Text(name, nil) }

// Options say what to measure.
type Options struct {
	Program string        // path of the built multica-rollup
	Sizes   []int         // tasks of each history
	Limit   time.Duration // the month walk is cut after it
	Ticks   int           // steady ticks of each kind; the median counts
	Huge    bool          // the server has huge pages, which the machine must have reserved
	Out     io.Writer     // the report, in Markdown
	Log     io.Writer     // what is being done
}

// room is what the history leaves free after it, for the hours of the steady ticks.
const room = 7 * 24 * time.Hour

// runner measures on one database.
type runner struct {
	Options
	server *lab.Server
	conn   *pgx.Conn
	dsn    string
	tasks  int
	state  string
	note   string    // said of the database in the report
	hour   time.Time // of the newest events
	walked *walked   // the month walk of the size before, nil at the first
}

// walked is a month walk that ended.
type walked struct {
	tasks int
	took  time.Duration
}

// expected is what a month walk of so many tasks would take, growing with
// their square as it does.
func (w *walked) expected(tasks int) time.Duration {
	if w == nil {
		return 0
	}
	times := float64(tasks) / float64(w.tasks)
	return time.Duration(float64(w.took) * times * times)
}

// measured is what one run of the program took.
type measured struct {
	wall, server time.Duration // server: time the database spent on statements, of ticks
	rss          int64         // peak memory of the process, bytes
	holds        []time.Duration
}

// Run measures everything and writes the report.
func Run(ctx context.Context, o Options) error {
	server, err := o.serve(ctx, o.Huge)
	if err != nil {
		return err
	}
	defer server.Stop()
	backfills, steady, bulks, writers := &table{}, &ticks{smallest: map[string]time.Duration{}}, &table{}, &table{}
	backfills.row("tasks", "usage rows", "bare INSERT … SELECT", "multica-rollup backfill", "ratio", "month walk by the function", "times faster", "peak memory", "lock holds: how many, median / longest")
	steady.row("tasks", "new events", "run, set engine", "server, times the smallest", "run, function engine", "psql calling the function")
	bulks.row("tasks", "what", "size", "wall", "slices", "longest lock hold")
	writers.row("tasks", "writer alone p50 / p99", "beside a backfill p50 / p99", "beside the month walk p50 / p99")
	var last *walked
	slices.Sort(o.Sizes)
	for _, tasks := range o.Sizes {
		r := &runner{Options: o, server: server, tasks: tasks, walked: last}
		if err := r.measure(ctx, backfills, steady, bulks, writers); err != nil {
			return fmt.Errorf("measuring %d tasks: %w", tasks, err)
		}
		last = r.walked
	}
	if o.Huge {
		if err := o.withoutHugePages(ctx, steady); err != nil {
			return err
		}
	}
	return o.report(ctx, server, backfills, steady, bulks, writers)
}

// serve starts a server as an installation of some size has it.
func (o Options) serve(ctx context.Context, huge bool) (*lab.Server, error) {
	pages := "off"
	if huge {
		pages = "on"
	}
	return lab.Start(ctx, lab.Options{Durable: true, Settings: map[string]string{
		"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min", "autovacuum": "off", "huge_pages": pages,
	}})
}

// withoutHugePages measures the steady ticks of the smallest and the largest
// history once more, on a server that has none.
func (o Options) withoutHugePages(ctx context.Context, out *ticks) error {
	server, err := o.serve(ctx, false)
	if err != nil {
		return err
	}
	defer server.Stop()
	for _, tasks := range slices.Compact([]int{slices.Min(o.Sizes), slices.Max(o.Sizes)}) { // the smallest first
		r := &runner{Options: o, server: server, tasks: tasks, note: ", no huge pages"}
		if err := r.on(ctx, func(lab.Seeded) error { return r.steady(ctx, out) }); err != nil {
			return fmt.Errorf("measuring %d tasks without huge pages: %w", tasks, err)
		}
	}
	return nil
}

func (r *runner) measure(ctx context.Context, backfills *table, steady *ticks, bulks, writers *table) error {
	return r.on(ctx, func(seeded lab.Seeded) error {
		if err := r.backfill(ctx, seeded, backfills); err != nil {
			return err
		}
		if err := r.steady(ctx, steady); err != nil {
			return err
		}
		if err := r.bulk(ctx, bulks); err != nil {
			return err
		}
		return r.latency(ctx, writers)
	})
}

// on makes the database with its history, has something measured on it, and drops it.
func (r *runner) on(ctx context.Context, do func(lab.Seeded) error) error {
	name := fmt.Sprintf("bench_%d", r.tasks)
	if err := r.server.CreateDatabase(ctx, name, lab.Gen272); err != nil {
		return err
	}
	r.dsn = r.server.DSN(name)
	conn, err := pgx.Connect(ctx, r.dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	r.conn = conn
	if r.state, err = os.MkdirTemp("", "multica-bench-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(r.state) }() // a temporary directory
	r.say("seeding")
	// Six agents on two runtimes: with them the month walk takes about what was
	// measured on installations of Multica with 10,000 and 30,000 tasks (17 s and 144 s).
	shape := lab.Typical(1, r.tasks)
	shape.Agents, shape.Runtimes = 6, 2
	shape.End = time.Now().Add(-room).Truncate(time.Hour)
	r.hour = shape.End
	seeded, err := lab.Seed(ctx, conn, shape)
	if err != nil {
		return err
	}
	if err := do(seeded); err != nil {
		return err
	}
	return r.server.DropDatabase(context.WithoutCancel(ctx), name)
}

// backfill measures a whole history, each way into the same empty table.
func (r *runner) backfill(ctx context.Context, seeded lab.Seeded, out *table) error {
	var bare, ours []time.Duration
	var m measured
	// Twice in turn, the better of each: the first to come warms the cache for the others.
	for range 2 {
		if err := r.empty(ctx); err != nil {
			return err
		}
		r.say("bare INSERT … SELECT")
		begun := time.Now()
		if _, err := r.conn.Exec(ctx, statement("bare")); err != nil {
			return fmt.Errorf("the bare insert: %w", err)
		}
		bare = append(bare, time.Since(begun))
		if err := r.empty(ctx); err != nil {
			return err
		}
		r.say("multica-rollup backfill")
		var err error
		if m, err = r.program(ctx, "set", "backfill"); err != nil {
			return err
		}
		ours = append(ours, m.wall)
		if err := r.exact(ctx); err != nil {
			return err
		}
	}
	best, limit := slices.Min(ours), slices.Min(bare)
	walk, times, err := r.compare(ctx, seeded, best)
	if err != nil {
		return err
	}
	out.row(r.tasks, seeded.UsageRows, seconds(limit), seconds(best), fmt.Sprintf("%.2f", best.Seconds()/limit.Seconds()),
		walk, times, mib(m.rss), holds(m.holds))
	return nil
}

// compare measures the month walk where it can end within the limit, and says
// in words how it went and how many times faster ours was.
func (r *runner) compare(ctx context.Context, seeded lab.Seeded, ours time.Duration) (walk, times string, err error) {
	if expected := r.walked.expected(r.tasks); expected > r.Limit {
		return fmt.Sprintf("not run: by its growth about %s", expected.Round(time.Minute)), "", nil
	}
	r.say("month walk by the database's function")
	took, months, err := r.monthWalk(ctx, seeded)
	if err != nil {
		return "", "", err
	}
	times = fmt.Sprintf("%.0f", took.Seconds()/ours.Seconds())
	if months != "" {
		return fmt.Sprintf("cut after %s: %s", seconds(took), months), "more than " + times, nil
	}
	r.walked = &walked{tasks: r.tasks, took: took}
	return seconds(took), times, nil
}

// monthWalk rolls history up by calendar months with the window function, in
// one transaction a month. done is how far it came, "" where it ended in time.
func (r *runner) monthWalk(ctx context.Context, seeded lab.Seeded) (took time.Duration, done string, err error) {
	if err := r.empty(ctx); err != nil {
		return 0, "", err
	}
	limited, cancel := context.WithTimeout(ctx, r.Limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, r.dsn)
	if err != nil {
		return 0, "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	begun := time.Now()
	first := time.Date(seeded.Start.Year(), seeded.Start.Month(), 1, 0, 0, 0, 0, time.UTC)
	total, n := 0, 0
	for m := first; m.Before(seeded.End); m = m.AddDate(0, 1, 0) {
		total++
	}
	for m := first; m.Before(seeded.End); m = m.AddDate(0, 1, 0) {
		_, err := conn.Exec(limited, "select rollup_task_usage_hourly_window($1, $2)", m, m.AddDate(0, 1, 0))
		if errors.Is(limited.Err(), context.DeadlineExceeded) {
			return time.Since(begun), fmt.Sprintf("%d of %d months", n, total), nil
		}
		if err != nil {
			return 0, "", fmt.Errorf("walking months: %w", err)
		}
		n++
	}
	return time.Since(begun), "", nil
}

// empty takes the hourly table and the watermark back to a fresh install's.
func (r *runner) empty(ctx context.Context) error {
	_, err := r.conn.Exec(ctx, `truncate task_usage_hourly, task_usage_hourly_dirty;
		update task_usage_hourly_rollup_state set watermark_at = '1970-01-01 00:00:00+00', last_error = null; checkpoint`)
	if err != nil {
		return fmt.Errorf("emptying the hourly table: %w", err)
	}
	return os.RemoveAll(filepath.Join(r.state, "agent"))
}

// exact refuses a measurement of wrong results.
func (r *runner) exact(ctx context.Context) error {
	diffs, err := lab.Oracle(ctx, r.conn)
	if err == nil && len(diffs) > 0 {
		err = fmt.Errorf("%d hourly rows are wrong, such as: %s", len(diffs), diffs[0])
	}
	return err
}

// program runs the built program once and measures it from outside.
func (r *runner) program(ctx context.Context, engine string, args ...string) (measured, error) {
	return r.start(ctx, engine, args...)()
}

// start starts the built program; the returned function waits for its end.
func (r *runner) start(ctx context.Context, engine string, args ...string) func() (measured, error) {
	cmd := exec.CommandContext(ctx, r.Program, append(args, "--as-root", "--log-format", "json", "--log-level", "debug")...)
	cmd.Env = append(os.Environ(), "MULTICA_ROLLUP_DSN="+r.dsn, "MULTICA_ROLLUP_ENGINE="+engine,
		"MULTICA_ROLLUP_STATE_DIR="+filepath.Join(r.state, "agent"))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	begun := time.Now()
	err := cmd.Start()
	return func() (m measured, _ error) {
		if err == nil {
			m.rss = peakMemory(cmd.Process.Pid, func() { err = cmd.Wait() })
		}
		m.wall = time.Since(begun)
		if err != nil {
			return m, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, stderr.String())
		}
		for line := range strings.Lines(stderr.String()) {
			var entry struct {
				Event      string `json:"event"`
				DurationMS int64  `json:"duration_ms"`
			}
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Event == "slice-done" {
				m.holds = append(m.holds, time.Duration(entry.DurationMS)*time.Millisecond)
			}
		}
		return m, nil
	}
}

// holds says how many there were, and how long they were.
func holds(all []time.Duration) string {
	all = slices.Sorted(slices.Values(all))
	return fmt.Sprintf("%d, %s / %s", len(all), seconds(all[len(all)/2]), seconds(all[len(all)-1]))
}

// peakMemory returns the process's largest resident set, in bytes, as the
// kernel keeps it for the program itself. (What wait4 reports counts the memory
// of the parent before exec too.)
func peakMemory(pid int, wait func()) (peak int64) {
	ended := make(chan struct{})
	go func() {
		wait()
		close(ended)
	}()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		var kib int64
		if _, err := fmt.Sscanf(field(fmt.Sprintf("/proc/%d/status", pid), "VmHWM"), "%d kB", &kib); err == nil {
			peak = max(peak, kib*1024)
		}
		select {
		case <-ended:
			return peak
		case <-ticker.C:
		}
	}
}

func (r *runner) say(what string) { fmt.Fprintf(r.Log, "%d tasks: %s\n", r.tasks, what) }
