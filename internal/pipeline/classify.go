package pipeline

import (
	"fmt"
	"slices"
)

// Known is what is known of Multica's releases. It is data handed in, so that tests can register the lab's
// own functions, and columns that nobody has yet, without their entering the shipped tables.
type Known struct {
	Fingerprints Fingerprints
	Stages       []Stage // in their order; each begins where the one before is there
}

// Fingerprints maps a function's name to the sha256 of each source text known
// to us and the release that brought it.
type Fingerprints map[string]map[string]string

// Release returns the release that brought the text with this fingerprint, "" where it is not known.
func (f Fingerprints) Release(function, fingerprint string) string {
	return f[function][fingerprint]
}

// Shipped returns what is known of Multica's own releases.
func Shipped() Known { return Known{Fingerprints: fingerprints(), Stages: stages()} }

func fingerprints() Fingerprints {
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

// dirtyColumns are those of the queue.
func dirtyColumns() []string { return append(keyColumns(), "enqueued_at") }

// neededColumns are those that have to be there of tables that nobody but Multica writes, and of the state row.
func neededColumns(table string) []string {
	switch table {
	case Tasks:
		return []string{"id", "agent_id", "issue_id", "runtime_id"}
	case Agents:
		return []string{"id", "workspace_id"}
	case Issues:
		return []string{"id", "project_id"}
	case State:
		return []string{"id", "watermark_at", "last_run_started_at", "last_run_finished_at", "last_run_rows", "last_error"}
	}
	return nil
}

// Needed returns the columns that are needed of a table of which few are; none of any other.
func Needed(table string) []string {
	if !Few(table) {
		return nil
	}
	return neededColumns(table)
}

// Few says whether a few columns of a table are needed, and the others are none of our business: environments,
// prompts and results. Of other tables all columns are.
func Few(table string) bool { return slices.Contains([]string{Tasks, Agents, Issues}, table) }

// NeededColumns returns the columns that are needed of the tables of which few are, table and column of each.
func NeededColumns() (inTable, column []string) {
	for _, table := range tables {
		for _, name := range Needed(table) {
			inTable, column = append(inTable, table), append(column, name)
		}
	}
	return inTable, column
}

// hourlyColumns are all columns that the hourly table has after some stages.
func hourlyColumns(list []Stage) []string {
	return slices.Concat(keyColumns(), columnsOf(list).Names(), []string{"updated_at"})
}

// usageColumns are likewise those of task_usage.
func usageColumns(list []Stage) (columns []string) {
	for _, s := range list {
		columns = append(columns, s.Usage...)
	}
	return columns
}

// readable returns the columns of a table that have to be readable, where they are there.
func readable(table string, known []Stage) []string {
	switch table {
	case Usage:
		return usageColumns(known)
	case Hourly:
		return hourlyColumns(known)
	case Dirty:
		return dirtyColumns()
	}
	return neededColumns(table)
}

// reached returns the stages that the database has come to: one with counters by the first of them.
func (p *Pipeline) reached() []Stage {
	for i, s := range p.stages {
		there := i == 0
		switch {
		case there:
		case len(s.Counters) > 0:
			there = slices.Contains(p.Relations[Hourly].Columns, s.Counters[0].Name)
		default:
			there = p.Applied(string(s.Generation)) || s.Tick != "" && p.Functions[TickFunction].Known == s.Tick
		}
		if !there {
			return p.stages[:i]
		}
	}
	return p.stages
}

// classify derives the generation, and what keeps the set engine from being used.
func (p *Pipeline) classify() {
	p.Generation = GenUnknown
	if !p.Relations[Hourly].Present() || !p.Relations[Usage].Present() {
		return
	}
	reached := p.reached()
	if len(reached) == 0 {
		return // nothing is known of any release
	}
	p.Columns, p.Generation = columnsOf(reached), reached[len(reached)-1].Generation
	p.exact(Hourly, hourlyColumns(reached))
	p.exact(Usage, usageColumns(reached))
	p.exact(Dirty, dirtyColumns())
	for _, name := range []string{Tasks, Agents, Issues, State} {
		for _, column := range neededColumns(name) {
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
			p.Unknown = append(p.Unknown, fmt.Sprintf("%s has an unknown column %s", table, c))
			p.Obstacles = append(p.Obstacles, p.Unknown[len(p.Unknown)-1])
		}
	}
}
