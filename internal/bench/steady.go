package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pause"
)

// rates are how many new tasks five minutes bring, beside a correction for every ten of
// them: about as many as the largest history has in five of its minutes, and ten times as many.
var rates = []int{10, 100}

// elapsed is how many times five minutes the hour of a tick had before it.
// Halfway through its hour a tick reads as many rows as it does on the average.
const elapsed = 6

// slow is from where one measurement of a tick has to do.
const slow = 5 * time.Second

// ticks is the table of steady ticks. Each row says how many times the server time of
// the smallest history it has, at the same number of events.
type ticks struct {
	table
	smallest map[string]time.Duration
}

func (t *ticks) times(series string, server time.Duration) float64 {
	if _, known := t.smallest[series]; !known {
		t.smallest[series] = server
	}
	return server.Seconds() / t.smallest[series].Seconds()
}

// steady measures ticks of an installation that is up to date.
func (r *runner) steady(ctx context.Context, out *ticks) error {
	if err := r.empty(ctx); err != nil {
		return err
	}
	if _, err := r.program(ctx, "set", "backfill"); err != nil {
		return err
	}
	if _, err := r.conn.Exec(ctx, "vacuum analyze task_usage, task_usage_hourly, agent_task_queue"); err != nil {
		return fmt.Errorf("vacuuming: %w", err)
	}
	for _, tasks := range rates {
		if err := r.steadyAt(ctx, tasks, out); err != nil {
			return err
		}
	}
	return r.exact(ctx)
}

// steadyAt measures ticks that each find the same number of new events, in an
// hour of their own with the same number of older ones.
func (r *runner) steadyAt(ctx context.Context, tasks int, out *ticks) error {
	names := []string{"set engine", "function engine", "psql"}
	kinds := []func() (measured, error){
		func() (measured, error) { return r.program(ctx, "set", "run") },
		func() (measured, error) { return r.program(ctx, "function", "run") },
		func() (measured, error) { return r.byHand(ctx) },
	}
	taken := make([][]measured, len(kinds))
	events := 0
	// Each kind has a series of its own: what the function reads in seconds would push
	// what ours reads out of the processor's caches, in a large history alone.
	for i, tick := range kinds {
		r.say(fmt.Sprintf("steady ticks of %d new tasks, %s", tasks, names[i]))
		for range r.Ticks {
			var err error
			if events, err = r.bring(ctx, tasks); err != nil {
				return err
			}
			m, err := r.logged(ctx, tick)
			if err != nil {
				return err
			}
			taken[i] = append(taken[i], m)
			if m.wall > slow {
				break
			}
		}
	}
	set, function, hand := median(taken[0]), median(taken[1]), median(taken[2])
	out.row(fmt.Sprint(r.tasks, r.note), events, set.tick(), fmt.Sprintf("%.2f", out.times(fmt.Sprint(tasks, r.note), set.server)),
		function.tick(), hand.tick())
	return nil
}

// logged runs a tick while the server logs how long each step of each
// statement takes: parsing, planning and execution together are its server time.
func (r *runner) logged(ctx context.Context, tick func() (measured, error)) (m measured, err error) {
	set := func(what string) error {
		_, err := r.conn.Exec(ctx, fmt.Sprintf("alter database bench_%d %s", r.tasks, what))
		return err
	}
	before, err := r.server.Log()
	if err != nil {
		return m, err
	}
	if err := set("set log_min_duration_statement = 0"); err != nil {
		return m, err
	}
	if m, err = tick(); err != nil {
		return m, err
	}
	if err := set("reset log_min_duration_statement"); err != nil {
		return m, err
	}
	after, err := r.server.Log()
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(after[len(before):]) {
		var ms float64
		if _, text, ok := strings.Cut(line, "duration: "); ok {
			if _, err := fmt.Sscanf(text, "%f ms", &ms); err == nil {
				m.server += time.Duration(ms * float64(time.Millisecond))
			}
		}
	}
	return m, nil
}

// bring takes the next hour after the history to its middle, rolled up, then adds what
// five more minutes bring, and has the watermark stand just before it. It returns how many events are new.
func (r *runner) bring(ctx context.Context, tasks int) (events int, err error) {
	r.hour = r.hour.Add(time.Hour)
	if time.Since(r.hour) < 2*time.Hour {
		return 0, errors.New("more ticks than there is room for after the history")
	}
	for i := range elapsed + 1 {
		if i == elapsed {
			if _, err := r.program(ctx, "set", "run"); err != nil {
				return 0, err
			}
		}
		if err := r.conn.QueryRow(ctx, statement("events"), tasks, r.hour.Add(time.Duration(i)*5*time.Minute)).Scan(&events); err != nil {
			return 0, fmt.Errorf("bringing new events: %w", err)
		}
		if i == 0 || i == elapsed {
			if err := r.beforeNewest(ctx); err != nil {
				return 0, err
			}
		}
	}
	return events, nil
}

// beforeNewest has the watermark stand just before the newest events.
func (r *runner) beforeNewest(ctx context.Context) error {
	_, err := r.conn.Exec(ctx, "update task_usage_hourly_rollup_state set watermark_at = (select max(updated_at) from task_usage) - interval '1 microsecond'")
	if err != nil {
		return fmt.Errorf("setting the watermark: %w", err)
	}
	return nil
}

// byHand has psql call the database's own tick, as a cron job does.
func (r *runner) byHand(ctx context.Context) (m measured, err error) {
	begun := time.Now()
	cmd := exec.CommandContext(ctx, "psql", "-XqAt", r.dsn, "-c", "select rollup_task_usage_hourly()")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err = cmd.Start(); err == nil {
		m.rss = peakMemory(cmd.Process.Pid, func() { err = cmd.Wait() })
	}
	m.wall = time.Since(begun)
	if err != nil {
		return m, fmt.Errorf("psql: %w: %s", err, said.String())
	}
	return m, nil
}

// tick is a cell of the table.
func (m measured) tick() string {
	return fmt.Sprintf("%s / %s / %s", millis(m.wall), millis(m.server), mib(m.rss))
}

func median(list []measured) measured {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b measured) int { return int(a.server - b.server) })
	return list[len(list)/2]
}

// latency measures a writer's single-row corrections alone, beside a backfill, and beside the month walk.
func (r *runner) latency(ctx context.Context, out *table) error {
	r.say("a writer alone")
	alone, err := r.write(ctx, func(context.Context) error { return pause.For(ctx, 5*time.Second) })
	if err != nil {
		return err
	}
	if err := r.empty(ctx); err != nil {
		return err
	}
	r.say("a writer beside a backfill")
	beside, err := r.write(ctx, func(ctx context.Context) error {
		_, err := r.program(ctx, "set", "backfill")
		return err
	})
	if err != nil {
		return err
	}
	r.say("a writer beside the month walk")
	walk, err := r.write(ctx, func(ctx context.Context) error {
		short, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, r.dsn)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		// Its length does not matter here, nor whether it ends.
		_, err = conn.Exec(short, "select rollup_task_usage_hourly_window(now() - interval '1 month', now())")
		if short.Err() != nil {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	out.row(r.tasks, quantiles(alone), quantiles(beside), quantiles(walk))
	return nil
}

// write corrects usage rows one by one, two hundred a second at the most, while something else works.
func (r *runner) write(ctx context.Context, something func(context.Context) error) ([]time.Duration, error) {
	conn, err := pgx.Connect(ctx, r.dsn)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, "select id::text from task_usage order by created_at desc limit 5000")
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	stop := make(chan struct{})
	var took []time.Duration
	var writeErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			begun := time.Now()
			_, writeErr = conn.Exec(ctx, "update task_usage set output_tokens = output_tokens + 1, updated_at = now() where id = $1", ids[rand.IntN(len(ids))])
			if writeErr != nil {
				return
			}
			took = append(took, time.Since(begun))
		}
	})
	err = something(ctx)
	close(stop)
	wg.Wait()
	if err == nil {
		err = writeErr
	}
	return took, err
}
