package usage

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
)

// csvHeader is the same whatever is asked for.
func csvHeader() []string {
	return []string{
		"period", "workspace_id", "workspace", "agent_id", "agent", "project_id", "project", "runtime_id", "runtime", "provider", "model",
		"input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "total_tokens",
		"reported_cost_usd", "uncosted_tokens", "cost_complete",
	}
}

// WriteCSV writes a report as RFC 4180 has it, without a total, with at most
// limit rows a period and workspace.
func (r *Report) WriteCSV(w io.Writer, limit int) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	if err := out.Write(csvHeader()); err != nil {
		return err
	}
	name := func(row *Row, d Dimension) string {
		if d != Workspace && !r.Has(d) {
			return ""
		}
		return harmless(r.label(row.Key, d))
	}
	kept, _ := r.Limit(limit)
	for i := range kept {
		row := &kept[i]
		cost := ""
		if r.Costs {
			cost = Dollars(&row.Cost)
		}
		if err := out.Write([]string{
			row.Period, row.WorkspaceID, name(row, Workspace), row.AgentID, name(row, Agent), row.ProjectID, name(row, Project),
			row.RuntimeID, name(row, Runtime), name(row, Provider), name(row, Model),
			row.Input.String(), row.Output.String(), row.CacheRead.String(), row.CacheWrite.String(), row.Sum().String(),
			cost, row.Uncosted.Sum().String(), strconv.FormatBool(r.Costs && row.CostComplete()),
		}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// harmless keeps a spreadsheet from taking a name for a formula.
func harmless(name string) string {
	if name != "" && strings.ContainsRune("=+-@\t\r\n", rune(name[0])) {
		return "'" + name
	}
	return name
}
