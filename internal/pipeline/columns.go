package pipeline

import (
	"fmt"
	"slices"
	"strings"
)

// Counter is a column of the hourly table that adds up raw usage.
type Counter struct {
	Name string // of the column
	// Sum is an aggregate over rows u of task_usage that all belong to one key of the hourly table. It is
	// never NULL. It may rely on task_usage being unique by (task_id, provider, model).
	Sum string
	// Recount is Sum for who cannot rely on that; "" means that Sum does not.
	Recount string
	// NullUntilRecomputed says that the column reads NULL in rows written before it came, until they are computed again.
	NullUntilRecomputed bool
}

// Stage is what a migration of Multica brought that matters to the roll-up.
type Stage struct {
	Generation Generation
	Counters   []Counter // columns of the hourly table
	Usage      []string  // columns of task_usage
	// Tick is the release of TickFunction's text by which a stage without columns is known where the
	// list of migrations cannot be read.
	Tick string
}

// stages are those of Multica's own releases, in their order. The first is there wherever the hourly table is.
func stages() []Stage {
	tokens := func(name string) Counter { return Counter{Name: name, Sum: "sum(u." + name + ")"} }
	uncosted := func(name string) Counter {
		return Counter{
			Name: "uncosted_" + name, NullUntilRecomputed: true,
			Sum: "coalesce(sum(u." + name + ") filter (where u.cost_usd_ticks is null), 0)",
		}
	}
	return []Stage{
		{Generation: Gen102, Counters: []Counter{
			tokens("input_tokens"), tokens("output_tokens"), tokens("cache_read_tokens"), tokens("cache_write_tokens"),
			{Name: "task_count", Sum: "count(*)", Recount: "count(distinct u.task_id)"},
			{Name: "event_count", Sum: "count(*)"},
		}, Usage: []string{
			"id", "task_id", "provider", "model", "input_tokens", "output_tokens",
			"cache_read_tokens", "cache_write_tokens", "created_at", "updated_at",
		}},
		{Generation: Gen213, Counters: []Counter{
			{Name: "cost_usd_ticks", Sum: "coalesce(sum(u.cost_usd_ticks), 0)"},
			uncosted("input_tokens"), uncosted("output_tokens"), uncosted("cache_read_tokens"), uncosted("cache_write_tokens"),
		}, Usage: []string{"cost_usd_ticks"}},
		{Generation: Gen272, Tick: "v0.4.23"},
	}
}

// keyColumns are what the hourly table and the queue are unique by.
func keyColumns() []string {
	return []string{"bucket_hour", "workspace_id", "runtime_id", "agent_id", "project_id", "provider", "model"}
}

// Columns are the columns of the hourly table, from which the statements that name them are made.
type Columns struct{ counters []Counter }

// columnsOf puts the counters of stages into the order of every list: late ones come last.
func columnsOf(list []Stage) Columns {
	var c Columns
	for _, late := range []bool{false, true} {
		for _, s := range list {
			for _, counter := range s.Counters {
				if counter.NullUntilRecomputed == late {
					c.counters = append(c.counters, counter)
				}
			}
		}
	}
	return c
}

// Has says whether there is a counter of this name.
func (c Columns) Has(name string) bool { return slices.Contains(c.Names(), name) }

// Names lists the counters.
func (c Columns) Names() []string {
	names := make([]string, len(c.counters))
	for i, counter := range c.counters {
		names[i] = counter.Name
	}
	return names
}

// Position is where a counter stands in Names, from 1 on, as in an array of SQL. It fails for an unknown name.
func (c Columns) Position(name string) (int, error) {
	i := slices.Index(c.Names(), name)
	if i < 0 {
		return 0, fmt.Errorf("no counter %s", name)
	}
	return i + 1, nil
}

// NeverNull is the number of counters that every row has; the late ones come after them.
func (c Columns) NeverNull() int {
	firm := slices.IndexFunc(c.counters, func(counter Counter) bool { return counter.NullUntilRecomputed })
	if firm < 0 {
		return len(c.counters)
	}
	return firm
}

// FirstNullable is the position of the first late counter, 0 where there is none.
func (c Columns) FirstNullable() int {
	if c.NeverNull() == len(c.counters) {
		return 0
	}
	return c.NeverNull() + 1
}

// Key lists the columns of the key, of the row that is named; "" names none.
func (c Columns) Key(row string) string { return of(row, keyColumns()) }

// Counters lists the counters of a row, as Key does.
func (c Columns) Counters(row string) string { return of(row, c.Names()) }

// Sums are the counters of one key over the usage rows u, each a bigint under its column's name.
func (c Columns) Sums() string {
	sums := make([]string, len(c.counters))
	for i, counter := range c.counters {
		sums[i] = counter.Sum + "::bigint as " + counter.Name
	}
	return strings.Join(sums, ",\n         ")
}

// Recounts are the counters of one key over the usage rows u, whatever task_usage is unique by.
func (c Columns) Recounts() string {
	sums := make([]string, len(c.counters))
	for i, counter := range c.counters {
		if sums[i] = counter.Recount; sums[i] == "" {
			sums[i] = counter.Sum
		}
	}
	return strings.Join(sums, ",\n               ")
}

// Assignments set every counter to that of the row excluded.
func (c Columns) Assignments() string {
	set := make([]string, len(c.counters))
	for i, counter := range c.counters {
		set[i] = counter.Name + " = excluded." + counter.Name
	}
	return strings.Join(set, ",\n      ")
}

func of(row string, names []string) string {
	if row != "" {
		row += "."
	}
	return row + strings.Join(names, ", "+row)
}
