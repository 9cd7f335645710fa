package lab

import (
	"errors"
	"fmt"
	"time"
)

// Shape says what history Seed makes. A zero count takes the default that is named with it; a zero
// share means none. The same Shape with the same End gives the same rows, ids included.
type Shape struct {
	Seed uint64

	Tasks      int // default 1000
	Months     int // how far back from End the history reaches; default 12
	Workspaces int // default 2
	Agents     int // default 24
	Runtimes   int // default 8
	Projects   int // default 12
	Issues     int // default a tenth of Tasks
	Models     int // default 6

	// End is the instant of the last event, to the microsecond. Default: ten minutes before now()
	// on the database's clock, so that all of it lies before anybody's horizon.
	End time.Time

	Corrections     float64 // share of usage rows corrected after they were written
	LateCorrections float64 // share of the corrections that come one or two months later
	NoUpdatedAt     float64 // share of usage rows, the oldest, without updated_at (until corrected)
	NoIssue         float64 // share of tasks without an issue
	NoProject       float64 // share of issues without a project
	NoCost          float64 // share of usage rows without a cost, where the generation has costs
	NoRuntime       float64 // share of tasks whose runtime was deleted (generation 272 only)

	// Bursts rewrites, that many times, BurstRows usage rows from all over the history so far at
	// one single updated_at, as Multica's maintenance commands do. BurstRows defaults to 1000.
	Bursts    int
	BurstRows int

	QuietMonths int     // months (of 30 days) in the middle of the history without any event
	SkewAgent   float64 // share of tasks that belong to the one busiest agent, beside its fair part
	SkewHour    float64 // share of all tasks that fall into one single hour

	// Stint is the most tasks that an agent does in a row, in one hour, on one runtime, for one issue
	// and mostly with one model: what lets usage rows share an hourly row. Default 5. With 1 the
	// tasks end, and their usage rows are inserted, in the order of time.
	Stint int
	// Wide fills the columns of agent_task_queue that the newest release has, where they are there:
	// some 600 bytes in the heap, and for a third of the rows 4 kB out of line, which do not compress.
	Wide bool
}

// Real returns a history in the shape that real installations have: dozens of agents, an issue for
// twenty tasks, wide tasks, rows in the order of time, and an hourly row for nearly every usage row.
func Real(seed uint64, tasks int) Shape {
	s := Typical(seed, tasks)
	s.Agents, s.Runtimes, s.Models, s.Issues = 48, 24, 8, max(tasks/20, 2)
	s.Stint, s.Wide = 1, true
	return s
}

// Typical returns a history with some of everything, as an installation of many months has it, in
// the dense shape: narrow tasks, and an hourly row for two usage rows. It is kinder than the real.
func Typical(seed uint64, tasks int) Shape {
	return Shape{
		Seed: seed, Tasks: tasks, Corrections: 0.05, LateCorrections: 0.1, NoUpdatedAt: 0.1,
		NoIssue: 0.1, NoProject: 0.2, NoCost: 0.3, Bursts: 2, BurstRows: max(tasks/100, 1),
	}
}

// withDefaults returns the shape with its zero counts filled in, or all that is impossible in it.
func (s Shape) withDefaults() (Shape, error) {
	for _, d := range []struct {
		count *int
		value int
	}{
		{&s.Tasks, 1000}, {&s.Months, 12}, {&s.Workspaces, 2}, {&s.Agents, 24}, {&s.Runtimes, 8},
		{&s.Projects, 12}, {&s.Models, 6}, {&s.BurstRows, 1000}, {&s.Stint, 5},
	} {
		if *d.count == 0 {
			*d.count = d.value
		}
	}
	if s.Issues == 0 {
		s.Issues = max(s.Tasks/10, s.Workspaces)
	}
	var faults []error
	for _, f := range []struct {
		name  string
		value float64
	}{
		{"corrections", s.Corrections}, {"late corrections", s.LateCorrections}, {"no updated_at", s.NoUpdatedAt},
		{"no issue", s.NoIssue}, {"no project", s.NoProject}, {"no cost", s.NoCost}, {"no runtime", s.NoRuntime},
		{"skew agent", s.SkewAgent}, {"skew hour", s.SkewHour},
	} {
		if f.value < 0 || f.value > 1 {
			faults = append(faults, fmt.Errorf("share %s is %g, want 0 to 1", f.name, f.value))
		}
	}
	if s.SkewHour == 1 {
		faults = append(faults, errors.New("share skew hour is 1, want less"))
	}
	// Every workspace needs its own agent, runtime and issue: they belong to one each.
	for _, c := range []struct {
		name  string
		value int
		least int
	}{
		{"tasks", s.Tasks, 1}, {"months", s.Months, 1}, {"workspaces", s.Workspaces, 1}, {"agents", s.Agents, s.Workspaces},
		{"runtimes", s.Runtimes, s.Workspaces}, {"projects", s.Projects, s.Workspaces}, {"issues", s.Issues, s.Workspaces},
		{"models", s.Models, 1}, {"stint", s.Stint, 1}, {"bursts", s.Bursts, 0}, {"burst rows", s.BurstRows, 1}, {"quiet months", s.QuietMonths, 0},
	} {
		if c.value < c.least {
			faults = append(faults, fmt.Errorf("%s is %d, want at least %d", c.name, c.value, c.least))
		}
	}
	if s.QuietMonths >= s.Months && s.Months > 0 {
		faults = append(faults, fmt.Errorf("%d quiet months leave nothing of %d", s.QuietMonths, s.Months))
	}
	return s, errors.Join(faults...)
}
