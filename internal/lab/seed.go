package lab

import (
	"context"
	_ "embed"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/seed_before.sql
var seedBeforeSQL string

//go:embed sql/seed_legacy.sql
var seedLegacySQL string

// Seeded tells what Seed wrote.
type Seeded struct {
	Tasks, UsageRows int64
	Start, End       time.Time // no event outside [Start, End]
}

// Seed writes a history of usage into an empty database of any generation, all of it or nothing.
// It needs a superuser: foreign keys, which hold by construction, are not checked row by row.
// task_usage_hourly, its state and its queue stay as they are; legacy daily tables are filled.
func Seed(ctx context.Context, conn *pgx.Conn, shape Shape) (Seeded, error) {
	shape, err := shape.withDefaults()
	if err != nil {
		return Seeded{}, fmt.Errorf("checking the shape: %w", err)
	}
	if shape.End.IsZero() {
		if err := conn.QueryRow(ctx, "SELECT now() - interval '10 minutes'").Scan(&shape.End); err != nil {
			return Seeded{}, fmt.Errorf("asking the database's clock: %w", err)
		}
	}
	shape.End = shape.End.UTC().Truncate(time.Microsecond)
	costs, err := hasCost(ctx, conn)
	if err != nil {
		return Seeded{}, err
	}
	h := newHistory(shape)
	done := Seeded{Start: h.start, End: shape.End}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, seedBeforeSQL); err != nil {
			return fmt.Errorf("preparing: %w", err)
		}
		if err := h.copyWorld(ctx, tx); err != nil {
			return err
		}
		taskColumns := []string{"id", "agent_id", "issue_id", "runtime_id", "status", "created_at", "completed_at"}
		var fill *wide
		if shape.Wide {
			has, err := hasWide(ctx, tx)
			if err != nil {
				return err
			}
			if has {
				fill, taskColumns = newWide(shape.Seed), append(taskColumns, wideColumns...)
			}
		}
		done.Tasks, err = copyRows(ctx, tx, "agent_task_queue", taskColumns, h.taskValues(fill))
		if err != nil {
			return err
		}
		columns := []string{"id", "task_id", "provider", "model", "input_tokens", "output_tokens",
			"cache_read_tokens", "cache_write_tokens", "created_at", "updated_at"}
		if costs {
			columns = append(columns, "cost_usd_ticks")
		}
		if done.UsageRows, err = copyRows(ctx, tx, "task_usage", columns, h.usageValues(costs)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, seedLegacySQL); err != nil {
			return fmt.Errorf("filling the legacy daily tables: %w", err)
		}
		return nil
	})
	if err != nil {
		return Seeded{}, fmt.Errorf("seeding: %w", err)
	}
	// Statistics as a running installation has them, else every plan is a guess.
	if _, err := conn.Exec(ctx, "VACUUM (ANALYZE) task_usage, agent_task_queue, issue, agent, agent_runtime, project, workspace"); err != nil {
		return Seeded{}, fmt.Errorf("analyzing: %w", err)
	}
	return done, nil
}

// copyWorld writes workspaces, runtimes, agents, projects and issues.
func (h *history) copyWorld(ctx context.Context, tx pgx.Tx) error {
	w := h.world
	named := func(prefix string, members []belonging) iter.Seq[[]any] {
		return func(yield func([]any) bool) {
			for i, m := range members {
				if !yield([]any{m.id, w.workspaces[m.workspace], prefix + "-" + strconv.Itoa(i+1), h.start}) {
					return
				}
			}
		}
	}
	workspaces := func(yield func([]any) bool) {
		for i, id := range w.workspaces {
			name := "workspace-" + strconv.Itoa(i+1)
			// The slug carries the id: a second seed goes beside a first one.
			if !yield([]any{id, name, fmt.Sprintf("%s-%x", name, id[:4]), h.start}) {
				return
			}
		}
	}
	issues := func(yield func([]any) bool) {
		for i, is := range w.issues {
			var project *uuid
			if is.project >= 0 {
				project = &w.projects[is.project].id
			}
			if !yield([]any{is.id, w.workspaces[is.workspace], project, "issue " + strconv.Itoa(i+1), "done", h.start}) {
				return
			}
		}
	}
	for _, table := range []struct {
		name    string
		columns []string
		rows    iter.Seq[[]any]
	}{
		{"workspace", []string{"id", "name", "slug", "created_at"}, workspaces},
		{"agent_runtime", []string{"id", "workspace_id", "name", "created_at"}, named("runtime", w.runtimes)},
		{"agent", []string{"id", "workspace_id", "name", "created_at"}, named("agent", w.agents)},
		{"project", []string{"id", "workspace_id", "title", "created_at"}, named("project", w.projects)},
		{"issue", []string{"id", "workspace_id", "project_id", "title", "status", "created_at"}, issues},
	} {
		if _, err := copyRows(ctx, tx, table.name, table.columns, table.rows); err != nil {
			return err
		}
	}
	return nil
}

// taskValues yields the tasks, with the wide columns where fill is not nil.
func (h *history) taskValues(fill *wide) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for t := range h.tasks() {
			row := []any{t.id, t.agent, t.issue, t.runtime, "completed", t.created, t.ended}
			if fill != nil {
				row = append(row, fill.values(t)...)
			}
			if !yield(row) {
				return
			}
		}
	}
}

func (h *history) usageValues(costs bool) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for t := range h.tasks() {
			for _, u := range t.usage {
				row := []any{u.id, t.id, u.provider, u.model, u.in, u.out, u.hit, u.put, u.created, u.updated}
				if costs {
					row = append(row, u.cost)
				}
				if !yield(row) {
					return
				}
			}
		}
	}
}

// copyRows streams rows into a table and returns how many.
func copyRows(ctx context.Context, tx pgx.Tx, table string, columns []string, rows iter.Seq[[]any]) (int64, error) {
	next, stop := iter.Pull(rows)
	defer stop()
	n, err := tx.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		row, ok := next()
		if !ok {
			return nil, nil
		}
		return row, nil
	}))
	if err != nil {
		return 0, fmt.Errorf("copying into %s: %w", table, err)
	}
	return n, nil
}
