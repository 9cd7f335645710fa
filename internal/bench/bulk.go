package bench

import (
	"context"
	"fmt"
	"slices"
)

// bulk measures what comes at once: a queue of keys and a batch of corrections,
// each made by one statement and so with one timestamp. A key is one bucket hour's of one
// agent, runtime, project and model.
func (r *runner) bulk(ctx context.Context, out *table) error {
	r.say("a long queue")
	var n int64
	if err := r.conn.QueryRow(ctx, statement("move"), r.tasks*45/100).Scan(&n); err != nil {
		return fmt.Errorf("moving tasks to another runtime: %w", err)
	}
	if err := r.conn.QueryRow(ctx, "select count(*) from task_usage_hourly_dirty").Scan(&n); err != nil {
		return fmt.Errorf("counting the queue: %w", err)
	}
	queue, err := r.atOnce(ctx)
	if err != nil {
		return err
	}
	out.row(r.tasks, "queue", fmt.Sprintf("%d keys", n), seconds(queue.wall), len(queue.holds), seconds(slices.Max(queue.holds)))
	r.say("a batch with one timestamp")
	if err := r.conn.QueryRow(ctx, statement("batch"), r.tasks/2).Scan(&n); err != nil {
		return fmt.Errorf("correcting usage: %w", err)
	}
	if err := r.beforeNewest(ctx); err != nil {
		return err
	}
	batch, err := r.atOnce(ctx)
	if err != nil {
		return err
	}
	out.row(r.tasks, "batch", fmt.Sprintf("%d usage rows", n), seconds(batch.wall), len(batch.holds), seconds(slices.Max(batch.holds)))
	return nil
}

// atOnce has one run work off all there is.
func (r *runner) atOnce(ctx context.Context) (measured, error) {
	m, err := r.program(ctx, "set", "run")
	if err != nil {
		return m, err
	}
	if len(m.holds) == 0 {
		return m, fmt.Errorf("the run at %d tasks took the lock for nothing", r.tasks)
	}
	return m, r.exact(ctx)
}
