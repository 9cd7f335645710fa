package usage

import (
	"math/big"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// tokensView is Tokens as JSON has them: exact, whatever their size.
type tokensView struct {
	Input      *big.Int `json:"input_tokens"`
	Output     *big.Int `json:"output_tokens"`
	CacheRead  *big.Int `json:"cache_read_tokens"`
	CacheWrite *big.Int `json:"cache_write_tokens"`
}

func viewTokens(t *Tokens) tokensView {
	return tokensView{&t.Input, &t.Output, &t.CacheRead, &t.CacheWrite}
}

type measuresView struct {
	tokensView
	Total    *big.Int   `json:"total_tokens"`
	Ticks    *big.Int   `json:"cost_usd_ticks"`    // 1e-10 USD; null before the cost columns
	Cost     *string    `json:"reported_cost_usd"` // an exact decimal; null before the cost columns
	Uncosted tokensView `json:"uncosted_tokens"`
	Complete bool       `json:"cost_complete"`
}

func (r *Report) viewMeasures(m *Measures) measuresView {
	v := measuresView{
		tokensView: viewTokens(&m.Tokens), Total: m.Sum(), Uncosted: viewTokens(&m.Uncosted), Complete: r.Costs && m.CostComplete(),
	}
	if r.Costs {
		cost := Dollars(&m.Cost)
		v.Ticks, v.Cost = &m.Cost, &cost
	}
	return v
}

type rowView struct {
	WorkspaceID string  `json:"workspace_id"`
	Workspace   *string `json:"workspace"`
	Period      *string `json:"period"`
	AgentID     *string `json:"agent_id"`
	Agent       *string `json:"agent"`
	AgentState  *string `json:"agent_state"`
	ProjectID   *string `json:"project_id"`
	Project     *string `json:"project"`
	RuntimeID   *string `json:"runtime_id"`
	Runtime     *string `json:"runtime"`
	Provider    *string `json:"provider"`
	Model       *string `json:"model"`
	measuresView
}

type reportView struct {
	SchemaVersion int          `json:"schema_version"`
	Timezone      string       `json:"timezone"`
	From          time.Time    `json:"from"`
	To            time.Time    `json:"to"`    // the first instant that is not asked for any more
	Since         string       `json:"since"` // the local dates, both inclusive
	Until         string       `json:"until"`
	Watermark     time.Time    `json:"watermark"`
	By            []Dimension  `json:"by"`
	Per           *string      `json:"per"`
	Rows          []rowView    `json:"rows"`
	RowsOmitted   int          `json:"rows_omitted"` // by --limit
	Totals        measuresView `json:"totals"`       // of all rows, omitted ones included
	NotShown      struct {
		Detached tokensView `json:"detached"`
	} `json:"not_in_dashboard"`
	NamesMissing []string `json:"names_missing"`
}

// some returns nil for what is not known, which JSON shows as null.
func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// JSON returns what a report looks like as JSON, with at most limit rows a period and workspace.
func (r *Report) JSON(limit int) any {
	kept, omitted := r.Limit(limit)
	v := reportView{
		SchemaVersion: report.SchemaVersion, Timezone: r.Timezone, From: r.Start.UTC(), To: r.End.UTC(),
		Since: r.From.Format(DateLayout), Until: r.To.Format(DateLayout), Watermark: r.Watermark.UTC(),
		By: r.By, Per: some(r.Per), Rows: []rowView{}, Totals: r.viewMeasures(Total(r.Rows)), NamesMissing: r.NamesMissing,
	}
	v.NotShown.Detached = viewTokens(r.detachedOf(""))
	for _, rows := range omitted {
		v.RowsOmitted += len(rows)
	}
	for i := range kept {
		v.Rows = append(v.Rows, r.viewRow(&kept[i]))
	}
	return v
}

func (r *Report) viewRow(row *Row) rowView {
	v := rowView{
		WorkspaceID: row.WorkspaceID, Workspace: some(r.label(row.Key, Workspace)), Period: some(row.Period),
		AgentID: some(row.AgentID), ProjectID: some(row.ProjectID), RuntimeID: some(row.RuntimeID), measuresView: r.viewMeasures(&row.Measures),
	}
	if r.Has(Agent) {
		v.Agent, v.AgentState = some(r.label(row.Key, Agent)), some(row.AgentState)
	}
	if r.Has(Project) {
		v.Project = some(r.label(row.Key, Project))
	}
	if r.Has(Runtime) {
		v.Runtime = some(r.label(row.Key, Runtime))
	}
	// These may be empty texts in the database.
	if r.Has(Provider) {
		v.Provider = &row.Provider
	}
	if r.Has(Model) {
		v.Model = &row.Model
	}
	return v
}
