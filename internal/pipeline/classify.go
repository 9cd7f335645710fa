package pipeline

import (
	"fmt"
	"slices"
)

// Fingerprints maps a function's name to the sha256 of each source text known
// to us and the release that brought it. It is data handed in, so that the
// lab's own functions can be registered by tests without entering this table.
type Fingerprints map[string]map[string]string

// Release returns the release that brought the text with this fingerprint, "" where it is not known.
func (f Fingerprints) Release(function, fingerprint string) string {
	return f[function][fingerprint]
}

// Shipped returns the fingerprints of Multica's own releases.
func Shipped() Fingerprints {
	return Fingerprints{
		WindowFunction: {
			"297244c607dedd67160b136352fc5905065daa089edd25518bb0b0681b50ddb5": "v0.3.5",
			"303ae930cfd68111ffeab5900d9ec0437d942effb99d3cd0b8e7b9da86e31309": "v0.4.10",
		},
		TickFunction: {
			"71b0003586daeec9316a8b6d9386f5cf21a2a5f25ac0b18f48f2f0119842f3cf": "v0.3.5",
			"686f48de1d77059f5bc23b7276da6f7228368ba530bf001425469accf7bca73a": "v0.4.23",
		},
		PruneFunction: {
			"4764a96306bd1e911505018ef59ede74f6479ace489621f60364b3bafad20046": "v0.3.5",
		},
		BucketFunction: {
			"48ce247e8e022efed855e833ab85d8bce57ddb94836c4353e2a8c1cc7dac237f": "v0.3.5",
		},
	}
}

// The columns that the set engine writes and reads. Any other column on the
// tables it writes means a newer pipeline, whose meaning only its own function knows.
var (
	// keyColumns are what the hourly table and the queue are unique by.
	keyColumns    = []string{"bucket_hour", "workspace_id", "runtime_id", "agent_id", "project_id", "provider", "model"}
	hourlyColumns = append(slices.Clone(keyColumns),
		"input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
		"task_count", "event_count", "updated_at",
	)
	hourlyCostColumns = []string{
		"cost_usd_ticks", "uncosted_input_tokens", "uncosted_output_tokens",
		"uncosted_cache_read_tokens", "uncosted_cache_write_tokens",
	}
	dirtyColumns = append(slices.Clone(keyColumns), "enqueued_at")
	usageColumns = []string{
		"id", "task_id", "provider", "model", "input_tokens", "output_tokens",
		"cache_read_tokens", "cache_write_tokens", "created_at", "updated_at",
	}
	usageCostColumns = []string{"cost_usd_ticks"}
	neededColumns    = map[string][]string{
		Tasks:  {"id", "agent_id", "issue_id", "runtime_id"},
		Agents: {"id", "workspace_id"},
		Issues: {"id", "project_id"},
		State:  {"id", "watermark_at", "last_run_started_at", "last_run_finished_at", "last_run_rows", "last_error"},
	}
)

// needs returns the columns of a table that have to be readable, where they are there.
func needs(table string) []string {
	switch table {
	case Usage:
		return slices.Concat(usageColumns, usageCostColumns)
	case Hourly:
		return slices.Concat(hourlyColumns, hourlyCostColumns)
	case Dirty:
		return dirtyColumns
	}
	return neededColumns[table]
}

// classify derives the generation, and what keeps the set engine from being used.
func (p *Pipeline) classify() {
	p.Generation = GenUnknown
	if !p.Relations[Hourly].Present() || !p.Relations[Usage].Present() {
		return
	}
	costs := p.HasCosts()
	known := func(base, more []string) []string {
		if costs {
			return append(slices.Clone(base), more...)
		}
		return base
	}
	p.exact(Hourly, known(hourlyColumns, hourlyCostColumns))
	p.exact(Usage, known(usageColumns, usageCostColumns))
	p.exact(Dirty, dirtyColumns)
	for _, name := range []string{Tasks, Agents, Issues, State} {
		for _, column := range neededColumns[name] {
			if !slices.Contains(p.Relations[name].Columns, column) {
				p.Obstacles = append(p.Obstacles, fmt.Sprintf("%s has no column %s", name, column))
			}
		}
	}
	for _, c := range []struct {
		ok   bool
		what string
	}{
		{p.UniqueHourly, "constraint uq_task_usage_hourly_key is missing or of another form"},
		{p.UniqueDirty, "constraint uq_task_usage_hourly_dirty_key is missing or of another form"},
		{p.UniqueUsage, "task_usage is not unique by (task_id, provider, model)"},
		{p.Indexes["created_at"], "task_usage has no index on (created_at)"},
		{p.Indexes["updated_at"], "task_usage has no index on (updated_at)"},
	} {
		if !c.ok {
			p.Obstacles = append(p.Obstacles, c.what)
		}
	}
	for _, name := range []string{WindowFunction, BucketFunction} {
		if f := p.Functions[name]; f.Known == "" {
			p.Unverified = append(p.Unverified, fmt.Sprintf("%s() has an unknown text (%.12s)", name, f.Fingerprint))
		}
	}
	switch {
	case costs && (p.Applied("272") || p.Functions[TickFunction].Known == "v0.4.23"):
		p.Generation = Gen272
	case costs:
		p.Generation = Gen213
	default:
		p.Generation = Gen102
	}
}

// exact notes every column that is missing or not known.
func (p *Pipeline) exact(table string, want []string) {
	have := p.Relations[table].Columns
	for _, c := range want {
		if !slices.Contains(have, c) {
			p.Obstacles = append(p.Obstacles, fmt.Sprintf("%s has no column %s", table, c))
		}
	}
	for _, c := range have {
		if !slices.Contains(want, c) {
			p.Obstacles = append(p.Obstacles, fmt.Sprintf("%s has an unknown column %s", table, c))
		}
	}
}
