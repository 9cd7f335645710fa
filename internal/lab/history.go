package lab

import (
	"iter"
	"math/rand/v2"
	"sort"
	"time"
)

// uuid is an id in the form that COPY takes.
type uuid [16]byte

func newUUID(r *rand.Rand) uuid {
	var id uuid
	hi, lo := r.Uint64(), r.Uint64()
	for i := range 8 {
		id[i], id[i+8] = byte(hi>>(8*i)), byte(lo>>(8*i))
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // version 4, as gen_random_uuid makes them
	return id
}

// belonging is an id within a workspace (its number).
type belonging struct {
	id        uuid
	workspace int
}

// issueRow is an issue; its project is a number, negative for none.
type issueRow struct {
	belonging
	project int
}

// world is everything that tasks refer to. Members of workspace w are those at w, w+n, w+2n, …
// with n workspaces.
type world struct {
	workspaces []uuid
	agents     []belonging
	runtimes   []belonging
	projects   []belonging
	issues     []issueRow
}

// taskRow is a task with its usage.
type taskRow struct {
	id, agent      uuid
	issue, runtime *uuid
	created, ended time.Time
	usage          []usageRow
}

// usageRow is one usage row; updated is nil where updated_at is NULL.
type usageRow struct {
	id                uuid
	provider, model   string
	in, out, hit, put int64
	created           time.Time
	updated           *time.Time
	cost              *int64
}

// model is what usage is counted for.
type model struct{ provider, name string }

// history makes tasks in order of time, the same ones each time it is walked.
type history struct {
	shape  Shape
	world  world
	models []model
	start  time.Time
	// weight[i] is the sum of the hours' weights up to and including hour i after start.
	weight []float64
	bursts []burst
}

// burst rewrites every stride-th usage row before row `before`, all at the same instant.
type burst struct {
	before, stride, offset int
	at                     time.Time
}

// meanUsage is the average number of usage rows a task has, see usageCount.
const meanUsage = 1.2

// newHistory lays out the world and the time axis. The shape must be complete, End included.
func newHistory(s Shape) *history {
	r := rand.New(rand.NewPCG(s.Seed, 1))
	h := &history{shape: s, start: s.End.AddDate(0, -s.Months, 0).Truncate(time.Hour)}
	for range s.Workspaces {
		h.world.workspaces = append(h.world.workspaces, newUUID(r))
	}
	members := func(n int) []belonging {
		out := make([]belonging, n)
		for i := range out {
			out[i] = belonging{newUUID(r), i % s.Workspaces}
		}
		return out
	}
	h.world.agents, h.world.runtimes, h.world.projects = members(s.Agents), members(s.Runtimes), members(s.Projects)
	for _, m := range members(s.Issues) {
		issue := issueRow{m, -1}
		if r.Float64() >= s.NoProject {
			issue.project = pick(r, s.Projects, s.Workspaces, m.workspace)
		}
		h.world.issues = append(h.world.issues, issue)
	}
	providers := []string{"anthropic", "openai", "google"}
	for i := range s.Models {
		h.models = append(h.models, model{providers[i%len(providers)], "model-" + string(rune('a'+i/26%26)) + string(rune('a'+i%26))})
	}
	h.layOutTime()
	rows := int(float64(s.Tasks) * meanUsage)
	for i := range s.Bursts {
		before := rows * (i + 1) / (s.Bursts + 1)
		at := h.timeAt(float64(before) / float64(rows)).Truncate(time.Hour).Add(67*time.Minute + 11*time.Second)
		if at.After(s.End) {
			at = s.End
		}
		h.bursts = append(h.bursts, burst{before: before, stride: max(1, before/s.BurstRows), offset: i, at: at})
	}
	return h
}

// pick returns the number of one of count members that belongs to workspace w of n.
func pick(r *rand.Rand, count, n, w int) int {
	return w + n*r.IntN((count-w+n-1)/n)
}

// layOutTime weighs the hours: office hours carry most, quiet months nothing, and the skewed hour
// its share.
func (h *history) layOutTime() {
	hours := max(1, int(h.shape.End.Sub(h.start).Hours()+0.999))
	single := make([]float64, hours)
	quietFrom := (h.shape.Months - h.shape.QuietMonths + 1) / 2 * 30 * 24
	quietTo := quietFrom + h.shape.QuietMonths*30*24
	var sum float64
	for i := range single {
		at := h.start.Add(time.Duration(i) * time.Hour)
		switch {
		case i >= quietFrom && i < quietTo:
			continue
		case at.Weekday() == time.Saturday || at.Weekday() == time.Sunday:
			single[i] = 0.3
		case at.Hour() >= 7 && at.Hour() < 19:
			single[i] = 2
		default:
			single[i] = 0.6
		}
		sum += single[i]
	}
	if h.shape.SkewHour > 0 {
		busiest := hours / 5 // some hour in the history's first part, never a quiet one
		if h.shape.QuietMonths > 0 && busiest >= quietFrom {
			busiest = max(0, quietFrom-1)
		}
		single[busiest] = (sum - single[busiest]) * h.shape.SkewHour / (1 - h.shape.SkewHour)
	}
	h.weight = make([]float64, hours)
	sum = 0
	for i, w := range single {
		sum += w
		h.weight[i] = sum
	}
}

// timeAt returns the instant before which the given part (0 to 1) of all tasks has happened.
func (h *history) timeAt(part float64) time.Time {
	total := h.weight[len(h.weight)-1]
	want := part * total
	i := min(sort.SearchFloat64s(h.weight, want), len(h.weight)-1)
	before := 0.0
	if i > 0 {
		before = h.weight[i-1]
	}
	at := h.start.Add(time.Duration(i) * time.Hour)
	length := min(time.Hour, h.shape.End.Sub(at))
	if width := h.weight[i] - before; width > 0 {
		at = at.Add(time.Duration(float64(length) * (want - before) / width))
	}
	return at.Truncate(time.Microsecond)
}

// tasks yields the tasks hour by hour. An agent works in stints, see Shape.Stint: stints of up to
// five tasks make hourly rows about half as many as usage rows. Stints of one task end in order.
func (h *history) tasks() iter.Seq[taskRow] {
	return func(yield func(taskRow) bool) {
		s := h.shape
		r := rand.New(rand.NewPCG(s.Seed, 2))
		usageNumber := 0
		for n := 0; n < s.Tasks; {
			size := min(1+r.IntN(s.Stint), s.Tasks-n)
			agent := h.world.agents[h.agentNumber(r)]
			runtime := h.world.runtimes[pick(r, s.Runtimes, s.Workspaces, agent.workspace)]
			issue := h.world.issues[h.issueNumber(r, agent.workspace, float64(n)/float64(s.Tasks))]
			main := r.IntN(len(h.models))
			// The whole stint lies in one hour, the last one's in the history's last.
			at := h.timeAt(float64(n+size) / float64(s.Tasks))
			hour := at.Truncate(time.Hour)
			length := min(time.Hour, s.End.Sub(hour))
			for range size {
				ended := at
				if s.Stint > 1 {
					ended = hour.Add(time.Duration(r.Float64() * float64(length))).Truncate(time.Microsecond)
				}
				t := taskRow{id: newUUID(r), agent: agent.id, ended: ended}
				t.created = ended.Add(-time.Duration(r.IntN(900)+5) * time.Second)
				if r.Float64() >= s.NoIssue {
					t.issue = &issue.id
				}
				if r.Float64() >= s.NoRuntime {
					t.runtime = &runtime.id
				}
				t.usage = h.usage(r, ended, main, usageNumber)
				usageNumber += len(t.usage)
				if !yield(t) {
					return
				}
			}
			n += size
		}
	}
}

func (h *history) agentNumber(r *rand.Rand) int {
	if r.Float64() < h.shape.SkewAgent {
		return 0
	}
	return r.IntN(h.shape.Agents)
}

// issueNumber picks an issue of the workspace that was about at that part of the history.
func (h *history) issueNumber(r *rand.Rand, workspace int, part float64) int {
	n := h.shape.Workspaces
	members := (h.shape.Issues - workspace + n - 1) / n
	i := int((part + (r.Float64()-0.5)*0.05) * float64(members))
	return workspace + n*min(max(i, 0), members-1)
}

// usage returns a task's usage rows, one to three, each of another model.
func (h *history) usage(r *rand.Rand, ended time.Time, main, number int) []usageRow {
	count := 1
	if p := r.Float64(); p < 0.02 {
		count = 3
	} else if p < 0.18 {
		count = 2
	}
	rows := make([]usageRow, min(count, len(h.models)))
	for i := range rows {
		m := h.models[(main+i)%len(h.models)]
		u := usageRow{
			id: newUUID(r), provider: m.provider, model: m.name, created: ended,
			in: r.Int64N(20_000), out: r.Int64N(8_000), hit: r.Int64N(200_000), put: r.Int64N(20_000),
		}
		if r.Float64() >= h.shape.NoCost {
			ticks := (u.in*3 + u.out*15 + u.hit/3 + u.put*4) * 10_000
			u.cost = &ticks
		}
		u.updated = h.updatedAt(r, ended, number+i)
		rows[i] = u
	}
	return rows
}

// updatedAt decides when usage row number n was last written.
func (h *history) updatedAt(r *rand.Rand, created time.Time, n int) *time.Time {
	s := h.shape
	updated := &created
	if float64(n) < s.NoUpdatedAt*float64(s.Tasks)*meanUsage {
		updated = nil
	}
	// Drawn always, so that one share's change does not change every later row.
	corrected, late, delay := r.Float64() < s.Corrections, r.Float64() < s.LateCorrections, r.Float64()
	if corrected {
		wait := time.Duration(delay * float64(72*time.Hour))
		if late {
			wait = time.Duration((31 + 29*delay) * float64(24*time.Hour))
		}
		at := created.Add(wait + time.Second).Truncate(time.Microsecond)
		if at.After(s.End) {
			// Spread over what is left, rather than all at the end's one instant.
			at = created.Add(time.Duration(delay * float64(s.End.Sub(created)))).Truncate(time.Microsecond)
		}
		updated = &at
	}
	for _, b := range h.bursts {
		if n < b.before && n%b.stride == b.offset%b.stride && b.at.After(created) {
			updated = &b.at
		}
	}
	return updated
}
