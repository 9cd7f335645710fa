package usage

import (
	"cmp"
	"math/big"
	"slices"
	"time"
)

// The states of an agent; "" where our role may not tell.
const (
	Live     = "live"
	Archived = "archived"
	Deleted  = "deleted" // all of a workspace's are one row, as on the dashboard
	System   = "system"  // Multica's own helpers, likewise
)

// Key is what a row stands for. Fields that usage is not summed by are "".
type Key struct {
	Period      string // its first local date
	WorkspaceID string
	AgentID     string // "" for the folded ones
	AgentState  string
	ProjectID   string // "" for no project, and for deleted ones
	RuntimeID   string
	Provider    string // lower case
	Model       string
}

// Row is one line of a report.
type Row struct {
	Key
	Measures
}

// Thing is what is known of an agent, project, runtime or workspace.
type Thing struct {
	Name, Slug, Kind string
	Archived         bool
}

// Catalog has the things that exist, by id. Where our role may not read a
// table's ids, Complete is false, and a thing that is not there may exist.
type Catalog struct {
	Complete bool
	Things   map[string]Thing
}

// state returns the state of an agent, as far as it is known. withState says
// whether what tells live, archived and system agents apart could be read.
func (c Catalog) state(id string, withState bool) string {
	thing, there := c.Things[id]
	switch {
	case !there && c.Complete:
		return Deleted
	case thing.Kind != "" && thing.Kind != "user":
		return System
	case !there || !withState:
		return ""
	case thing.Archived:
		return Archived
	}
	return Live
}

// Fold brings together what the dashboard shows as one: deleted agents, Multica's
// own agents, and what has no project any more; and the days of a period. The rows are in order.
func Fold(groups []Row, q Query, catalogs map[Dimension]Catalog, agentStates bool) []Row {
	rows, at := []Row{}, map[Key]int{}
	for n := range groups {
		g := &groups[n]
		k := g.Key
		k.Period = periodOf(k.Period, q.Per)
		if q.Has(Agent) {
			k.AgentState = catalogs[Agent].state(k.AgentID, agentStates)
			if k.AgentState == Deleted || k.AgentState == System {
				k.AgentID = ""
			}
		}
		if projects := catalogs[Project]; k.ProjectID != "" && projects.Complete {
			if _, there := projects.Things[k.ProjectID]; !there {
				k.ProjectID = ""
			}
		}
		i, there := at[k]
		if !there {
			i = len(rows)
			at[k] = i
			rows = append(rows, Row{Key: k})
		}
		rows[i].Add(&g.Measures)
	}
	// Totals once for each row, not once for each comparison.
	totals := make([]*big.Int, len(rows))
	order := make([]int, len(rows))
	for i := range rows {
		totals[i], order[i] = rows[i].Sum(), i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &rows[i].Key, &rows[j].Key
		return cmp.Or(
			cmp.Compare(a.Period, b.Period), totals[j].Cmp(totals[i]), cmp.Compare(a.WorkspaceID, b.WorkspaceID),
			cmp.Compare(a.AgentID, b.AgentID), cmp.Compare(a.AgentState, b.AgentState), cmp.Compare(a.ProjectID, b.ProjectID),
			cmp.Compare(a.RuntimeID, b.RuntimeID), cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Model, b.Model))
	})
	sorted := make([]Row, len(rows))
	for n, i := range order {
		sorted[n] = rows[i]
	}
	return sorted
}

// Report is the answer to a query.
type Report struct {
	Query
	From, To       time.Time // local dates, both inclusive
	Start, End     time.Time // the instants of that; End is the first after it
	Watermark      time.Time
	WatermarkLocal time.Time // what a clock in the time zone shows, as if it were UTC
	Costs          bool      // the database has cost columns
	Rows           []Row     // by period, then tokens descending, then ids
	Detached       map[string]*Tokens
	Catalogs       map[Dimension]Catalog
	NamesMissing   []string // columns of names that our role may not read: agent.name, …
	Grants         []string // what would let it
}

// Total returns the sum of some rows.
func Total(rows []Row) *Measures {
	total := &Measures{}
	for i := range rows {
		total.Add(&rows[i].Measures)
	}
	return total
}

// Limit keeps the first n rows of each period, and within it of each workspace unless
// workspaces are compared; 0 keeps all. It returns what it leaves out, by period and workspace.
func (r *Report) Limit(n int) (kept []Row, omitted map[Key][]Row) {
	kept, omitted = []Row{}, map[Key][]Row{}
	seen := map[Key]int{}
	for _, row := range r.Rows {
		group := r.limitGroup(row.Key)
		seen[group]++
		if n > 0 && seen[group] > n {
			omitted[group] = append(omitted[group], row)
		} else {
			kept = append(kept, row)
		}
	}
	return kept, omitted
}

func (r *Report) limitGroup(k Key) Key {
	if r.Has(Workspace) {
		return Key{Period: k.Period}
	}
	return Key{Period: k.Period, WorkspaceID: k.WorkspaceID}
}

// detachedOf returns the detached usage of one workspace, or of all for "".
func (r *Report) detachedOf(workspace string) *Tokens {
	sum := &Tokens{}
	for id, t := range r.Detached {
		if workspace == "" || id == workspace {
			sum.Add(t)
		}
	}
	return sum
}

// label is what a row is called in one dimension: a name, or what stands for
// several. "" where the name is not known.
func (r *Report) label(k Key, d Dimension) string {
	switch d {
	case Agent:
		switch k.AgentState {
		case Deleted:
			return "Deleted agents"
		case System:
			return "Other agents"
		}
		return r.Catalogs[Agent].Things[k.AgentID].Name
	case Project:
		if k.ProjectID == "" {
			return "no project"
		}
		return r.Catalogs[Project].Things[k.ProjectID].Name
	case Runtime:
		return r.Catalogs[Runtime].Things[k.RuntimeID].Name
	case Workspace:
		thing := r.Catalogs[Workspace].Things[k.WorkspaceID]
		return cmp.Or(thing.Slug, thing.Name)
	case Provider:
		return k.Provider
	}
	return k.Model
}

// id is the id of what a row stands for in one dimension, "" where there is none.
func (k Key) id(d Dimension) string {
	switch d {
	case Agent:
		return k.AgentID
	case Project:
		return k.ProjectID
	case Runtime:
		return k.RuntimeID
	case Workspace:
		return k.WorkspaceID
	}
	return ""
}
