package report_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

func hours(tokens ...int64) []report.Hour {
	all := make([]report.Hour, 24)
	for i := range all {
		all[i] = report.Hour{Start: noon.Add(time.Duration(i-23) * time.Hour), Tokens: tokens[i%len(tokens)], Events: 1}
	}
	return all
}

// healthy is an installation that nothing is wrong with.
func healthy() *report.Status {
	return &report.Status{
		Version: "1.2.3", Target: "127.0.0.1:5432/multica", At: noon, HostAt: noon, Level: report.OK,
		Engine: "set", Generation: "272",
		Watermark: noon.Add(-6 * time.Minute), Newest: noon.Add(-10 * time.Second), Waiting: report.Counted{Count: 1204, Oldest: noon.Add(-350 * time.Second)},
		LastRun: report.LastRun{Started: noon.Add(-time.Minute), Finished: noon.Add(-59700 * time.Millisecond), Rows: 4210},
		Units: &units.Units{
			Timer:   &units.Timer{Name: "multica-rollup.timer", Enabled: true, Active: true, Next: noon.Add(4 * time.Minute), Last: noon.Add(-time.Minute)},
			Service: &units.Service{Name: "multica-rollup.service", State: "inactive", Result: "success", Ended: noon.Add(-time.Minute)},
		},
		Guard: pipeline.Guard{Pass: true, Applied: true},
		Drift: &ledger.Drift{At: noon.Add(-50 * time.Hour), Checked: 1234567},
		Hours: hours(0, 1, 10, 120, 400, 800, 990, 1000, 5),
	}
}

// troubled has about everything wrong that status can tell.
func troubled() *report.Status {
	failed, ran := false, noon.Add(-20*time.Minute)
	s := &report.Status{
		Version: "1.2.3", Instance: "eu", Target: "db.internal.example.com:5432/multica_europe", At: noon, HostAt: noon, Level: report.OK,
		Engine: "function", EngineReason: "rollup_task_usage_hourly_window() has an unknown text (b0dd6b090e97)", Generation: "102",
		Watermark: noon.Add(-26 * time.Hour), Newest: noon.Add(-time.Second),
		Waiting:  report.Counted{Count: 100000, More: true, Oldest: noon.Add(-25 * time.Hour)},
		Queue:    report.Counted{Count: 1, Oldest: noon.Add(-7 * time.Hour)},
		LastRun:  report.LastRun{Started: noon.Add(-26 * time.Hour), Finished: noon.Add(-26 * time.Hour), Rows: 7},
		AgentRun: &report.AgentRun{Finished: noon.Add(-time.Hour), Error: `db.internal.example.com:5432/multica_europe: relation "task_usage" may not be read by role rollup`},
		Units: &units.Units{
			Timer:   &units.Timer{Name: "multica-rollup@eu.timer"},
			Service: &units.Service{Name: "multica-rollup@eu.service", State: "failed", Result: "exit-code", Exit: 77},
		},
		Schedulers: []report.Scheduler{
			{Kind: "pg_cron", Title: `pg_cron job 3 "rollup" as postgres`, Detail: `job 3 "rollup" as postgres`, Schedule: "*/5 * * * *", Active: true, LastRun: &ran, LastOK: &failed},
			{Kind: "backend", Detail: "Multica's own scheduler (sys_cron_executions)", LastRun: &ran},
		},
		Lock:     []report.Holder{{Text: "pid 4711 (multica-backend), user multica, idle, since 2026-03-04T09:00:00Z", State: "idle", Since: noon.Add(-3 * time.Hour)}},
		Guard:    pipeline.Guard{Watermark: noon.Add(-26 * time.Hour), Newest: noon.Add(-time.Second)},
		Backfill: &report.Backfill{Cursor: noon.Add(-40 * 24 * time.Hour), To: noon, Done: 412345, Total: 1200000, Percent: 34.4, Updated: noon.Add(-48 * time.Hour)},
		Debts: []ledger.Deferred{
			{Kind: ledger.OpenTransaction, From: noon.Add(-30 * time.Hour), To: noon.Add(-30 * time.Hour), Description: "pid 99 (pg_dump of postgres), open since 2026-03-03T06:00:00Z"},
			{Kind: ledger.Gap, From: noon.Add(-5 * time.Hour), To: noon.Add(-4 * time.Hour), Description: "the watermark was moved by others"},
			{Kind: ledger.Gap, From: noon.Add(-3 * time.Hour), To: noon.Add(-2 * time.Hour), Description: "the watermark was moved by others"},
			{Kind: ledger.Gap, From: noon.Add(-time.Hour), To: noon, Description: "the watermark was moved by others"},
		},
		GivenUp: &ledger.GivenUp{Before: noon.Add(-400 * 24 * time.Hour), Events: 4000, At: noon.Add(-24 * time.Hour)},
		Drift:   &ledger.Drift{At: noon.Add(-time.Hour), Keys: 12, Checked: 999},
		Hours:   hours(0),
	}
	s.Find(report.Critical, "multica-rollup doctor", "usage has waited to be rolled up for 25h0m")
	s.Find(report.Warning, "systemctl enable --now multica-rollup@eu.timer", "multica-rollup@eu.timer is not started, and this text is long enough that it has to be broken")
	return s
}

func statusText(t *testing.T, s *report.Status, st report.Style) string {
	t.Helper()
	var b strings.Builder
	if err := report.WriteStatus(&b, s, st); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestStatusAsText(t *testing.T) {
	fresh := healthy()
	fresh.Watermark, fresh.LastRun, fresh.Units, fresh.Drift = time.Unix(0, 0), report.LastRun{}, nil, nil
	empty := healthy()
	empty.Watermark, empty.Newest, empty.Waiting, empty.Hours = time.Unix(0, 0), time.Time{}, report.Counted{}, hours(0)
	working := healthy()
	working.Backfill = &report.Backfill{Running: true, Cursor: noon.Add(-time.Hour), Done: 1, Total: 3, Percent: 33.3}
	working.Units.Service.State, working.Units.Service.Status = "activating", "rolling up: 3 rows"
	for name, s := range map[string]*report.Status{"healthy": healthy(), "troubled": troubled(), "fresh": fresh, "empty": empty, "working": working} {
		t.Run(name, func(t *testing.T) {
			got := statusText(t, s, report.Style{})
			golden(t, "status_"+name+".txt", got)
			if strings.Contains(got, "\x1b") {
				t.Error("there are escapes in plain text")
			}
			for line := range strings.Lines(got) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
					t.Errorf("a line has %d columns: %s", n, line)
				}
			}
		})
	}
}

func TestAServiceThatHasToldNothingYetIsAtWork(t *testing.T) {
	s := healthy()
	s.Units.Service.State, s.Units.Service.Status = "activating", ""
	if got := statusText(t, s, report.Style{}); !strings.Contains(got, "the service is at work\n") {
		t.Errorf("status prints:\n%s", got)
	}
}

func TestStatusInColourIsTheSameText(t *testing.T) {
	plain := statusText(t, troubled(), report.Style{Width: 100})
	colour := statusText(t, troubled(), report.Style{Width: 100, Color: true})
	golden(t, "status_troubled_colour.txt", colour)
	for _, escape := range []string{"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m"} {
		colour = strings.ReplaceAll(colour, escape, "")
	}
	if colour != plain {
		t.Errorf("without its escapes it differs:\n%s\nwant\n%s", colour, plain)
	}
}

func TestSeveralDatabasesAsText(t *testing.T) {
	idle := healthy()
	idle.Waiting = report.Counted{}
	entries := []report.StatusEntry{
		{Instance: "default", Config: "/etc/multica/rollup.toml", Level: report.OK, Status: idle},
		{Instance: "eu", Config: "/etc/multica/rollup.d/eu.toml", Level: report.Critical, Status: troubled()},
		{Instance: "staging-2", Config: "/etc/multica/rollup.d/staging-2.toml", Level: report.Unknown, Error: "no server answers at 10.0.0.9:5432/multica", Hint: "start it"},
	}
	var b strings.Builder
	if err := report.WriteStatuses(&b, entries, report.Style{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "statuses.txt", b.String())
}

func TestNumbersAreShort(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 999: "999", 1000: "1.00 k", 9994: "9.99 k", 9999: "10.0 k", 99949: "99.9 k", 99999: "100 k", 999499: "999 k", 999500: "1.00 M",
		1234567890: "1.23 G", 45_600_000_000_000: "45.6 T",
	} {
		if got := report.Short(n); got != want {
			t.Errorf("Short(%d) is %q, want %q", n, got, want)
		}
	}
}

func TestTheWorstLevelWins(t *testing.T) {
	order := []report.Level{report.OK, report.Warning, report.Unknown, report.Critical}
	for i, a := range order {
		for j, b := range order {
			if got := a.Worse(b); got != order[max(i, j)] {
				t.Errorf("the worse of %s and %s is %s", a, b, got)
			}
		}
	}
}
