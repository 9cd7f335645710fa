package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// finished is a run that left everything rolled up.
func finished() *report.State {
	return &report.State{
		Command: "run", Target: "db.example:5432/multica", Database: "multica", Engine: "set", Generation: "272",
		Started: noon, Finished: noon.Add(1500 * time.Millisecond), Outcome: report.Current,
		Watermark: noon.Add(-5 * time.Minute), Newest: noon.Add(-time.Minute), Rows: 12, Read: 34, Queue: 5, Debts: 1,
		LongestHold: 250 * time.Millisecond,
	}
}

func write(t *testing.T, path string, st *report.State, m *ledger.Memory) string {
	t.Helper()
	if err := report.WriteTextfile(path, st, m, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// parse reads a textfile as node_exporter does.
func parse(t *testing.T, file string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(file))
	if err != nil {
		t.Fatalf("what was written does not parse: %v\n%s", err, file)
	}
	return families
}

// value returns the one sample of a family.
func value(t *testing.T, file, name string) float64 {
	t.Helper()
	f := parse(t, file)["multica_rollup_"+name]
	if f == nil || len(f.Metric) != 1 {
		t.Fatalf("%s has %d samples, want 1:\n%s", name, len(f.GetMetric()), file)
	}
	return f.Metric[0].Gauge.GetValue()
}

func TestTheTextfileIsWhole(t *testing.T) {
	m := &ledger.Memory{
		Drift: &ledger.Drift{At: noon.Add(-time.Hour), Keys: 3, Checked: 1000}, GivenUp: &ledger.GivenUp{Before: noon, Events: 77, At: noon},
	}
	st := finished()
	st.Progress = &report.Progress{Done: 1, Total: 4}
	st.Outcome = report.Incomplete
	got := write(t, filepath.Join(t.TempDir(), "multica.prom"), st, m)
	golden(t, "textfile.prom", got)
	for name, f := range parse(t, got) {
		if f.GetHelp() == "" || f.GetType() != dto.MetricType_GAUGE {
			t.Errorf("%s lacks a help or is no gauge", name)
		}
		for _, sample := range f.Metric {
			if sample.TimestampMs != nil {
				t.Errorf("%s has a timestamp, which the textfile collector refuses", name)
			}
		}
	}
}

func TestAFailedRunKeepsWhenTheLastOneSucceeded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "multica.prom")
	write(t, path, finished(), nil)
	later := noon.Add(time.Hour)
	got := write(t, path, &report.State{
		Command: "run", Target: "db.example:5432/multica", Started: later, Finished: later, Outcome: report.Failed, Error: "no answer",
	}, nil)
	for name, want := range map[string]float64{
		"last_run_success":               0,
		"last_run_timestamp_seconds":     float64(later.Unix()),
		"last_success_timestamp_seconds": float64(noon.Unix()) + 1.5,
		"watermark_timestamp_seconds":    float64(noon.Add(-5 * time.Minute).Unix()),
		"newest_event_timestamp_seconds": float64(noon.Add(-time.Minute).Unix()),
		"last_run_duration_seconds":      0,
		"last_run_longest_lock_seconds":  0,
		"last_run_rows_written":          0,
		"info":                           1,
	} {
		if v := value(t, got, name); v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	// Where the watermark is was not seen: a lag of an hour ago would be a lie.
	for _, name := range []string{"lag_seconds", "queue_keys", "debts"} {
		if strings.Contains(got, "multica_rollup_"+name) {
			t.Errorf("%s is told although the database was not reached", name)
		}
	}
}

func TestLosingTheLockIsNoFailureAndNoSuccess(t *testing.T) {
	st := finished()
	st.Outcome = report.Busy
	got := write(t, filepath.Join(t.TempDir(), "multica.prom"), st, nil)
	if value(t, got, "last_run_success") != 1 || strings.Contains(got, "last_success") {
		t.Errorf("want a run without failure and no success:\n%s", got)
	}
}

func TestVerifyAndTheOtherCommandsKeepEachOthersMetrics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "multica.prom")
	write(t, path, finished(), nil)
	verify := &report.State{Command: "verify", Target: "db.example:5432/multica", Database: "multica", Started: noon, Finished: noon, Watermark: noon, Progress: &report.Progress{Done: 1, Total: 3}}
	write(t, path, verify, &ledger.Memory{Drift: &ledger.Drift{At: noon, Keys: 9}})
	if got := write(t, path, verify, nil); value(t, got, "watermark_timestamp_seconds") == float64(noon.Unix()) || strings.Contains(got, "backfill_progress") {
		t.Errorf("a verify passes its own progress off as a backfill's:\n%s", got)
	}
	next := finished()
	next.Engine = "function"
	next.Progress = &report.Progress{Done: 10, Total: 10}
	got := write(t, path, next, nil)
	if value(t, got, "drift_keys") != 9 || value(t, got, "last_run_rows_written") != 12 || value(t, got, "backfill_progress_ratio") != 1 {
		t.Errorf("a command lost another's metrics:\n%s", got)
	}
	if strings.Count(got, "multica_rollup_info{") != 1 || !strings.Contains(got, `engine="function"`) {
		t.Errorf("there is not one info with the present engine:\n%s", got)
	}
}

func TestAnotherDatabasesMetricsAreNotTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "multica.prom")
	write(t, path, finished(), nil)
	other := finished()
	other.Target, other.Database = "[::1]:5432/eu", "eu"
	got := write(t, path, other, nil)
	for name, f := range parse(t, got) {
		for _, sample := range f.Metric {
			for _, l := range sample.Label {
				if l.GetName() == "database" && l.GetValue() != "eu" || l.GetName() == "server" && l.GetValue() != "[::1]:5432" {
					t.Errorf("%s has %s=%q", name, l.GetName(), l.GetValue())
				}
			}
		}
	}
}

func TestLabelsAreEscaped(t *testing.T) {
	st := finished()
	st.Target, st.Database = "/run/pg:5432/o\"d\\d\nname", "o\"d\\d\nname"
	path := filepath.Join(t.TempDir(), "multica.prom")
	write(t, path, st, nil)
	f := parse(t, write(t, path, st, nil))["multica_rollup_lag_seconds"]
	if len(f.Metric) != 1 || f.Metric[0].Label[0].GetValue() != st.Database {
		t.Errorf("got %v, want one sample of database %q", f, st.Database)
	}
}

func TestTheTextfileIsReadableByAllWhateverTheUmask(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "multica.prom")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, path, finished(), nil)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode is %v, %v, want 0644", info.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files are in the directory, %v, want the one", len(entries), err)
	}
}

func TestADirectoryThatCannotBeWrittenIsAnError(t *testing.T) {
	err := report.WriteTextfile(filepath.Join(t.TempDir(), "missing", "multica.prom"), finished(), nil, "1")
	if err == nil || !strings.HasPrefix(err.Error(), "writing the metrics file: ") {
		t.Errorf("got %v", err)
	}
}

// TestTheExamplesUseMetricsThatExist holds the alert rules and the dashboard to what is written.
func TestTheExamplesUseMetricsThatExist(t *testing.T) {
	st := finished()
	st.Progress = &report.Progress{Done: 1, Total: 2}
	families := parse(t, write(t, filepath.Join(t.TempDir(), "m.prom"), st, &ledger.Memory{Drift: &ledger.Drift{At: noon}}))
	name := regexp.MustCompile(`multica_rollup_[a-z_]+`)
	for _, path := range []string{"prometheus/rules.yml", "prometheus/rules_test.yml", "kubernetes/prometheusrule.yaml", "grafana/dashboard.json"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "configs", path))
		if err != nil {
			t.Fatal(err)
		}
		used := name.FindAll(b, -1)
		if len(used) == 0 {
			t.Errorf("%s uses none of our metrics", path)
		}
		slices.SortFunc(used, bytes.Compare)
		for _, u := range slices.CompactFunc(used, bytes.Equal) {
			if families[string(u)] == nil {
				t.Errorf("%s uses %s, which is never written", path, u)
			}
		}
	}
}
