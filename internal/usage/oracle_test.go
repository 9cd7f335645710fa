package usage_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/usage"
)

// zones are whole and half hours off, with and without summer time; some skip midnight.
var zones = []string{
	"UTC", "Asia/Shanghai", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu", "Africa/Cairo",
}

// The figures are what a plain loop over the rows gives, for random rows around the
// changes of clocks, in each zone and by each combination of a few.
func TestFiguresAreThoseOfAPlainLoop(t *testing.T) {
	db := newDB(t, lab.Gen272)
	r := rand.New(rand.NewPCG(7, 19))
	agents := []string{backend, ui, builder, old, gone, gone2}
	stateOf := map[string]string{backend: "live", ui: "live", builder: "system", old: "archived", gone: "deleted", gone2: "deleted"}
	type raw struct {
		at                              time.Time
		agent, project, provider, model string
		n                               [4]int64
	}
	var rows []raw
	seen := map[string]bool{}
	for range 1500 {
		month := []time.Month{time.March, time.April, time.September, time.October, time.November}[r.IntN(5)]
		h := raw{
			at:    time.Date(2026, month, 1+r.IntN(30), r.IntN(24), 0, 0, 0, time.UTC),
			agent: agents[r.IntN(len(agents))], project: []string{"", site, gone}[r.IntN(3)],
			provider: []string{"claude", "Claude", "codex"}[r.IntN(3)], model: []string{"a", "A"}[r.IntN(2)],
		}
		key := fmt.Sprint(h)
		if seen[key] {
			continue
		}
		seen[key] = true
		for i := range h.n {
			h.n[i] = r.Int64N(1_000_000)
		}
		rows = append(rows, h)
		add(t, db, hour{at: h.at.Format(time.RFC3339), agent: h.agent, project: h.project, provider: h.provider, model: h.model,
			in: h.n[0], out: h.n[1], read: h.n[2], write: h.n[3]})
	}
	for i, zone := range zones {
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		q := usage.Query{
			Timezone: zone, Per: []string{"", usage.Day, usage.Week, usage.Month}[i%4],
			By:   [][]usage.Dimension{{usage.Agent}, {usage.Project, usage.Model}, {usage.Agent, usage.Provider}}[i%3],
			When: usage.When{Since: fmt.Sprintf("2026-03-%02d", 1+r.IntN(28)), Until: fmt.Sprintf("2026-11-%02d", 1+r.IntN(28))},
		}
		want := map[string][4]int64{}
		for _, h := range rows {
			local := h.at.In(location)
			day := local.Format(time.DateOnly)
			if day < q.When.Since || day > q.When.Until {
				continue
			}
			var key []string
			switch q.Per {
			case usage.Day:
				key = append(key, day)
			case usage.Week:
				for local.Weekday() != time.Monday {
					y, m, d := local.Date()
					local = time.Date(y, m, d-1, 12, 0, 0, 0, location)
				}
				key = append(key, local.Format(time.DateOnly))
			case usage.Month:
				key = append(key, day[:8]+"01")
			}
			if q.Has(usage.Agent) {
				state, id := stateOf[h.agent], h.agent
				if state == "deleted" || state == "system" {
					id = ""
				}
				key = append(key, id, state)
			}
			if q.Has(usage.Project) {
				key = append(key, strings.ReplaceAll(h.project, gone, ""))
			}
			if q.Has(usage.Provider) {
				key = append(key, strings.ToLower(h.provider))
			}
			if q.Has(usage.Model) {
				key = append(key, h.model)
			}
			sum := want[strings.Join(key, "|")]
			for i, n := range h.n {
				sum[i] += n
			}
			want[strings.Join(key, "|")] = sum
		}
		got := map[string][4]int64{}
		for _, row := range must(t, db, q).Rows {
			var key []string
			if q.Per != "" {
				key = append(key, row.Period)
			}
			if q.Has(usage.Agent) {
				key = append(key, row.AgentID, row.AgentState)
			}
			if q.Has(usage.Project) {
				key = append(key, row.ProjectID)
			}
			if q.Has(usage.Provider) {
				key = append(key, row.Provider)
			}
			if q.Has(usage.Model) {
				key = append(key, row.Model)
			}
			got[strings.Join(key, "|")] = [4]int64{row.Input.Int64(), row.Output.Int64(), row.CacheRead.Int64(), row.CacheWrite.Int64()}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, per %q, by %v, %+v (-want +got), of %d keys:\n%.2000s", zone, q.Per, q.By, q.When, len(want), diff)
		}
		if len(slices.Collect(maps.Keys(want))) < 2 {
			t.Errorf("%s: there is nothing to compare", zone)
		}
	}
}
