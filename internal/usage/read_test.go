package usage_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/usage"
)

func TestABucketBelongsToTheLocalDateOfItsStart(t *testing.T) {
	db := newDB(t, lab.Gen272)
	add(t, db,
		hour{at: "2026-03-09 18:00+00", in: 1},     // 23:30 in Kolkata: all of it is of the 9th
		hour{at: "2026-03-09 19:00+00", in: 10},    // 00:30
		hour{at: "2026-09-06 03:00+00", in: 100},   // 23:00 of the 5th in Santiago
		hour{at: "2026-09-06 04:00+00", in: 1000},  // 01:00 of the 6th: there is no midnight
		hour{at: "2026-11-01 03:00+00", in: 10000}, // 23:00 of October 31st in Havana, or the midnight that comes first …
		hour{at: "2026-11-01 04:00+00", in: 100000},
		hour{at: "2026-11-01 05:00+00", in: 1000000}, // … and the one that comes second
	)
	for _, c := range []struct {
		zone, date string
		want       int64
		start      string
	}{
		{"Asia/Kolkata", "2026-03-09", 1, "2026-03-08T18:30:00Z"},
		{"Asia/Kolkata", "2026-03-10", 10, "2026-03-09T18:30:00Z"},
		{"America/Santiago", "2026-09-05", 100, "2026-09-05T04:00:00Z"},
		{"America/Santiago", "2026-09-06", 1000, "2026-09-06T04:00:00Z"},
		{"America/Havana", "2026-10-31", 10000, "2026-10-31T04:00:00Z"},
		{"America/Havana", "2026-11-01", 1100000, "2026-11-01T04:00:00Z"},
	} {
		r := must(t, db, usage.Query{Timezone: c.zone, When: usage.When{Since: c.date, Until: c.date}})
		if got := usage.Total(r.Rows).Input.Int64(); got != c.want {
			t.Errorf("%s in %s has %d, want %d", c.date, c.zone, got, c.want)
		}
		if got := r.Start.UTC().Format(time.RFC3339); got != c.start {
			t.Errorf("%s in %s begins at %s, want %s", c.date, c.zone, got, c.start)
		}
	}
}

func TestTheLastDaysEndToday(t *testing.T) {
	db := newDB(t, lab.Gen272)
	exec(t, db.Conn, `insert into task_usage_hourly (bucket_hour, workspace_id, agent_id, runtime_id, provider, model, input_tokens)
		select h, $1, $2, $3, 'claude', 'opus', 1 from generate_series(date_trunc('hour', now(), 'UTC') - interval '20 days', now() + interval '2 days', interval '1 hour') h`, acme, backend, box)
	for _, c := range []struct {
		when  usage.When
		first string // as SQL on today, a local date
	}{
		{usage.When{Days: 1}, "today"}, {usage.When{Days: 7}, "today - 6"},
		{usage.When{Weeks: 1}, "date_trunc('week', today)::date"}, {usage.When{Weeks: 2}, "date_trunc('week', today)::date - 7"},
	} {
		for _, zone := range []string{"UTC", "Asia/Shanghai", "America/St_Johns"} {
			var want int64
			count := func() int64 {
				err := db.Conn.QueryRow(t.Context(), `with d as (select (now() at time zone '`+zone+`')::date as today)
					select count(*) from task_usage_hourly, d where (bucket_hour at time zone '`+zone+`')::date between `+c.first+` and today`).Scan(&want)
				if err != nil {
					t.Fatal(err)
				}
				return want
			}
			before := count()
			got := usage.Total(must(t, db, usage.Query{Timezone: zone, When: c.when}).Rows).Input.Int64()
			if after := count(); got != before && got != after { // midnight may come meanwhile
				t.Errorf("%+v in %s: %d hours, want %d", c.when, zone, got, before)
			}
		}
	}
}

func TestZonesThatOnlyPostgreSQLTakesAreRefused(t *testing.T) {
	db := newDB(t, lab.Gen272)
	for _, zone := range []string{"FOO3", "utc+3", "Nowhere/City"} {
		if _, err := read(t, db, "", usage.Query{Timezone: zone}); problem.KindOf(err) != problem.Usage || err == nil {
			t.Errorf("%s: %v", zone, err)
		}
	}
}

func TestDeletedAndSystemAgentsAreOneLineAWorkspace(t *testing.T) {
	db := newDB(t, lab.Gen272)
	add(t, db, hour{at: "2026-03-01", agent: gone, in: 5}, hour{at: "2026-03-01", agent: gone2, in: 7}, hour{at: "2026-03-01", agent: gone, workspace: other, in: 9},
		hour{at: "2026-03-01", agent: builder, in: 11}, hour{at: "2026-03-01", agent: old, in: 13}, hour{at: "2026-03-01", agent: ui, in: 13})
	got := table(t, must(t, db, usage.Query{}), 0, false)
	want := `acme, 2026-01-01 to 2026-12-31, UTC, not rolled up yet
AGENT                  INPUT   OUTPUT CACHE WR CACHE RD   TOKENS       COST
=ui                       13        0        0        0       13          -
old                       13        0        0        0       13          -
Deleted agents            12        0        0        0       12          -
Other agents              11        0        0        0       11          -
TOTAL                     49        0        0        0       49          -

other, 2026-01-01 to 2026-12-31, UTC, not rolled up yet
AGENT                  INPUT   OUTPUT CACHE WR CACHE RD   TOKENS       COST
Deleted agents             9        0        0        0        9          -
TOTAL                      9        0        0        0        9          -
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
	// One deleted agent can still be asked for by its id.
	if r := must(t, db, usage.Query{Filters: map[usage.Dimension][]string{usage.Agent: {strings.ToUpper(gone2)}}}); usage.Total(r.Rows).Input.Int64() != 7 {
		t.Errorf("the deleted agent has %v", r.Rows)
	}
	// Without the column everybody is a user.
	exec(t, db.Conn, "alter table agent drop column kind, drop column archived_at")
	if got := table(t, must(t, db, usage.Query{}), 0, false); !strings.Contains(got, "builder ") || strings.Contains(got, "Other agents") {
		t.Errorf("without the column kind:\n%s", got)
	}
}

func TestADeletedProjectIsNoProject(t *testing.T) {
	db := newDB(t, lab.Gen272)
	add(t, db, hour{at: "2026-03-01", project: gone, in: 5}, hour{at: "2026-03-01", in: 7}, hour{at: "2026-03-01", project: site, in: 9})
	got := table(t, must(t, db, usage.Query{By: []usage.Dimension{usage.Project}}), 0, false)
	if !strings.Contains(got, "no project                12") || !strings.Contains(got, "site                       9") {
		t.Errorf("got\n%s", got)
	}
}

func TestProvidersAreOneInAnyCase(t *testing.T) {
	db := newDB(t, lab.Gen272)
	add(t, db, hour{at: "2026-03-01", provider: "Claude", in: 5}, hour{at: "2026-03-01", provider: "CLAUDE", in: 7}, hour{at: "2026-03-01", provider: "claude", model: "Opus", in: 9})
	if r := must(t, db, usage.Query{By: []usage.Dimension{usage.Provider}}); len(r.Rows) != 1 || r.Rows[0].Provider != "claude" || r.Rows[0].Input.Int64() != 21 {
		t.Errorf("got %+v", r.Rows)
	}
	if r := must(t, db, usage.Query{By: []usage.Dimension{usage.Model}, Filters: map[usage.Dimension][]string{usage.Provider: {"cLAUDE"}}}); len(r.Rows) != 2 {
		t.Errorf("models are %+v", r.Rows)
	}
}

func TestDetachedUsageHasALineAndIsInNoTotal(t *testing.T) {
	db := newDB(t, lab.Gen272)
	add(t, db, hour{at: "2026-03-01 12:00+00", in: 100})
	for i, c := range []struct{ agent, at string }{
		{backend, "2026-03-01 00:30+00"}, {backend, "2026-02-28 23:59:59+00"}, {foreign, "2026-03-01 23:59:59.999999+00"}, {backend, "infinity"},
	} {
		exec(t, db.Conn, `with q as (insert into agent_task_queue (agent_id, status, completed_at) values ($1, 'completed', now()) returning id)
			insert into task_usage (task_id, provider, model, input_tokens, cache_read_tokens, created_at) select id, 'Claude', 'opus', $2, 1, $3::text::timestamptz from q`, c.agent, 1<<i, c.at)
	}
	when := usage.When{Since: "2026-03-01", Until: "2026-03-01"}
	r := must(t, db, usage.Query{When: when})
	got := table(t, r, 0, false)
	if !strings.Contains(got, "TOTAL                    100 ") || !strings.Contains(got, "\nNot in the dashboard: 2 tokens whose runtime was deleted\n") ||
		!strings.Contains(got, "\nother, ") || !strings.Contains(got, "\nNot in the dashboard: 5 tokens whose runtime was deleted\n") {
		t.Errorf("got\n%s", got)
	}
	v := view(t, r)
	if d := v.NotShown.Detached; d.Input != "5" || d.CacheRead != "2" || v.Totals.Total != "100" {
		t.Errorf("JSON has %+v, total %s", d, v.Totals.Total)
	}
	for filter, want := range map[usage.Dimension]string{usage.Agent: "1", usage.Runtime: "0", usage.Workspace: "4", usage.Provider: "5", usage.Project: "0"} {
		value := map[usage.Dimension]string{usage.Agent: backend, usage.Runtime: box, usage.Workspace: "Other", usage.Provider: "claude", usage.Project: "site"}[filter]
		v := view(t, must(t, db, usage.Query{When: when, Filters: map[usage.Dimension][]string{filter: {value}}}))
		if v.NotShown.Detached.Input != json.Number(want) {
			t.Errorf("with --%s %s %s input tokens are detached, want %s", filter, value, v.NotShown.Detached.Input, want)
		}
	}
}

func TestCosts(t *testing.T) {
	db := newDB(t, lab.Gen272)
	add(t, db, hour{at: "2026-03-01", agent: backend, in: 100}, hour{at: "2026-03-01", agent: ui, in: 50}, hour{at: "2026-03-01", agent: gone, in: 10})
	exec(t, db.Conn, "update task_usage_hourly set cost_usd_ticks = 123100000000, uncosted_input_tokens = 40, uncosted_output_tokens = 0, uncosted_cache_read_tokens = 0, uncosted_cache_write_tokens = 0 where agent_id = $1", backend)
	exec(t, db.Conn, "update task_usage_hourly set cost_usd_ticks = 400000000, uncosted_input_tokens = 0, uncosted_output_tokens = 0, uncosted_cache_read_tokens = 0, uncosted_cache_write_tokens = 0 where agent_id = $1", gone)
	r := must(t, db, usage.Query{})
	want := `AGENT                  INPUT   OUTPUT CACHE WR CACHE RD   TOKENS       COST
backend                  100        0        0        0      100    $12.31*
=ui                       50        0        0        0       50          -
Deleted agents            10        0        0        0       10      $0.04
TOTAL                    160        0        0        0      160    $12.35*
* incomplete: 90 tokens have no reported cost
`
	if _, got, _ := strings.Cut(table(t, r, 0, false), "\n"); got != want {
		t.Errorf("got\n%s", got)
	}
	if v := view(t, r); *v.Totals.Cost != "12.35" || v.Totals.Ticks.String() != "123500000000" || v.Totals.Complete || v.Totals.Uncosted.Input != "90" || !v.Rows[2].Complete {
		t.Errorf("JSON has %+v", v)
	}
}

func TestBeforeTheCostColumnsACostIsNull(t *testing.T) {
	for _, gen := range []lab.Generation{lab.Gen102, lab.GenInterrupted} {
		db := newDB(t, gen)
		add(t, db, hour{at: "2026-03-01", in: 100})
		r := must(t, db, usage.Query{})
		if v := view(t, r); v.Totals.Cost != nil || v.Totals.Ticks != nil || v.Rows[0].Complete || v.Rows[0].Uncosted.Input != "100" {
			t.Errorf("%s: JSON has %+v", gen, v)
		}
		if !strings.Contains(csvText(t, r, 0), ",100,,100,false\r\n") {
			t.Errorf("%s: CSV is %q", gen, csvText(t, r, 0))
		}
	}
}

func TestOddRowsAreSurvivedAndSumsAreOfAnySize(t *testing.T) {
	db := newDB(t, lab.Gen272)
	const most = 1<<63 - 1
	add(t, db, hour{at: "infinity", in: 1}, hour{at: "-infinity", in: 2}, hour{at: "0044-03-15 BC", in: 4}, hour{at: "294276-12-31 23:00+00", in: 8},
		hour{at: "4713-01-02 BC", in: 16}, hour{at: "2400-02-29", in: 32}, hour{at: "2026-03-01", in: most, out: most, read: most}, hour{at: "2026-03-02", in: most})
	for _, zone := range []string{"UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"} {
		for _, per := range []string{"", usage.Day, usage.Month} {
			r := must(t, db, usage.Query{Timezone: zone, Per: per})
			total := usage.Total(r.Rows)
			if total.Input.String() != "18446744073709551614" || total.Sum().String() != "36893488147419103228" {
				t.Errorf("%s: %s of %s", zone, total.Input.String(), total.Sum())
			}
		}
		r := must(t, db, usage.Query{Timezone: zone, When: usage.When{Since: "0001-01-01", Until: "9999-12-31"}})
		if got := usage.Total(r.Rows).Input.String(); got != "18446744073709551646" {
			t.Errorf("%s: %s in all years", zone, got)
		}
	}
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = 'infinity'")
	if got := csvText(t, must(t, db, usage.Query{}), 0); !strings.Contains(got, ",36893488147419103228,") {
		t.Errorf("CSV is %s", got)
	}
}

func TestAnEmptyDatabaseIsShownAsThat(t *testing.T) {
	db := newDB(t, lab.Gen272)
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = '2026-09-22 06:35+00'")
	r := must(t, db, usage.Query{Timezone: "Asia/Shanghai", When: usage.When{Since: "2026-08-24", Until: "2026-09-22"}})
	if got := table(t, r, 0, false); got != "no usage, 2026-08-24 to 2026-09-22, Asia/Shanghai, rolled up to 22 Sep 14:35\n" {
		t.Errorf("the table is %q", got)
	}
	v := view(t, r)
	if len(v.Rows) != 0 || v.Totals.Total != "0" || v.From != "2026-08-23T16:00:00Z" || v.To != "2026-09-22T16:00:00Z" {
		t.Errorf("JSON has %+v", v)
	}
	if got := csvText(t, r, 0); got != "period,workspace_id,workspace,agent_id,agent,project_id,project,runtime_id,runtime,provider,model,"+
		"input_tokens,output_tokens,cache_read_tokens,cache_write_tokens,total_tokens,reported_cost_usd,uncosted_tokens,cost_complete\r\n" {
		t.Errorf("CSV is %q", got)
	}
	exec(t, db.Conn, "delete from task_usage_hourly_rollup_state")
	if _, err := read(t, db, "", usage.Query{}); problem.KindOf(err) != problem.Config {
		t.Errorf("without a state row: %v", err)
	}
}

func TestCSVKeepsNamesFromSpreadsheetsAndReadsBack(t *testing.T) {
	db := newDB(t, lab.Gen272)
	exec(t, db.Conn, `update agent set name = E'a "b", c\nd' where id = $1`, backend)
	add(t, db, hour{at: "2026-03-01", agent: ui, model: "-m", in: 2}, hour{at: "2026-03-01", agent: backend, in: 1})
	text := csvText(t, must(t, db, usage.Query{By: []usage.Dimension{usage.Agent, usage.Model}}), 0)
	if strings.Count(text, "\n") != strings.Count(text, "\r\n") || !strings.Contains(text, `"a ""b"", c`) {
		t.Errorf("CSV is %q", text)
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 3 || rows[1][4] != "'=ui" || rows[1][10] != "'-m" || rows[2][4] != "a \"b\", c\nd" {
		t.Errorf("read back: %v %q", err, rows)
	}
}

func TestRowsOfAllWorkspacesAreOneTable(t *testing.T) {
	db := newDB(t, lab.Gen272)
	add(t, db, hour{at: "2026-03-01", in: 5}, hour{at: "2026-03-01", workspace: other, agent: foreign, in: 7}, hour{at: "2026-03-01", workspace: gone, agent: gone, in: 9})
	got := table(t, must(t, db, usage.Query{By: []usage.Dimension{usage.Workspace}}), 2, false)
	want := `all workspaces, 2026-01-01 to 2026-12-31, UTC, not rolled up yet
WORKSPACE              INPUT   OUTPUT CACHE WR CACHE RD   TOKENS       COST
00000000                   9        0        0        0        9          -
other                      7        0        0        0        7          -
(1 more)                   5        0        0        0        5          -
TOTAL                     21        0        0        0       21          -
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestTablesFitEightyColumns(t *testing.T) {
	db := newDB(t, lab.Gen272)
	exec(t, db.Conn, "update agent set name = $1 where id = $2", strings.Repeat("智能体", 20), backend)
	add(t, db, hour{at: "2026-03-01", in: 1 << 60, out: 1 << 60, read: 1 << 60, write: 1 << 60, model: strings.Repeat("m", 90)})
	for _, by := range [][]usage.Dimension{{usage.Agent}, {usage.Agent, usage.Model}, {usage.Model}} {
		for line := range strings.Lines(table(t, must(t, db, usage.Query{By: by}), 0, false)) {
			if n := usage.Columns(strings.TrimSuffix(line, "\n")); n > 80 && len(by) == 1 {
				t.Errorf("by %v: %d columns: %s", by, n, line)
			}
		}
	}
	if got := table(t, must(t, db, usage.Query{}), 0, true); !strings.Contains(got, backend) || strings.Contains(got, "智") {
		t.Errorf("with ids:\n%s", got)
	}
}

func TestFiltersTakeIdsAndNames(t *testing.T) {
	db := newDB(t, lab.Gen272)
	add(t, db, hour{at: "2026-03-01", in: 1}, hour{at: "2026-03-01", workspace: other, agent: foreign, in: 2}, hour{at: "2026-03-01", agent: ui, project: site, model: "m", in: 4})
	for _, c := range []struct {
		d      usage.Dimension
		values []string
		want   int64
	}{
		{usage.Agent, []string{"backend"}, 3}, // of two workspaces
		{usage.Agent, []string{"=ui", foreign}, 6}, {usage.Workspace, []string{"acme"}, 5}, {usage.Workspace, []string{"Acme Inc", "other"}, 7},
		{usage.Project, []string{"site"}, 4}, {usage.Runtime, []string{"box"}, 7}, {usage.Model, []string{"m"}, 4}, {usage.Model, []string{"M"}, 0},
		{usage.Agent, []string{gone}, 0},
	} {
		r := must(t, db, usage.Query{Filters: map[usage.Dimension][]string{c.d: c.values}})
		if got := usage.Total(r.Rows).Input.Int64(); got != c.want {
			t.Errorf("--%s %q: %d, want %d", c.d, c.values, got, c.want)
		}
	}
	_, err := read(t, db, "", usage.Query{Filters: map[usage.Dimension][]string{usage.Agent: {"nobody"}}})
	if unknown, ok := errors.AsType[*usage.UnknownNameError](err); !ok || unknown.Value != "nobody" {
		t.Errorf("an unknown name: %v", err)
	}
}

// number is kept as it is written.
type tokens struct {
	Input     json.Number `json:"input_tokens"`
	CacheRead json.Number `json:"cache_read_tokens"`
}

type measures struct {
	tokens
	Total    json.Number  `json:"total_tokens"`
	Ticks    *json.Number `json:"cost_usd_ticks"`
	Cost     *string      `json:"reported_cost_usd"`
	Uncosted tokens       `json:"uncosted_tokens"`
	Complete bool         `json:"cost_complete"`
}

type reportJSON struct {
	From, To string
	Rows     []struct {
		Agent      *string `json:"agent"`
		AgentID    *string `json:"agent_id"`
		AgentState *string `json:"agent_state"`
		measures
	}
	Totals   measures
	NotShown struct{ Detached tokens } `json:"not_in_dashboard"`
	Missing  []string                  `json:"names_missing"`
}

func view(t testing.TB, r *usage.Report) (v reportJSON) {
	t.Helper()
	b, err := json.Marshal(r.JSON(0))
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}
