package report

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

// metricPrefix begins the name of every metric.
const metricPrefix = "multica_rollup_"

// metric is a family of the textfile; all of them are gauges.
type metric struct{ name, help string }

// metrics are the families in the order of the file. All have the labels
// database and server; a run is one of run or backfill, whichever ended last.
var metrics = [...]metric{
	{"info", "What rolls up: version of the agent, engine, and generation of the pipeline."},
	{"last_run_timestamp_seconds", "When the last run ended."},
	{"last_run_success", "Whether the last run ended well."},
	{"last_run_duration_seconds", "How long the last run took."},
	{"last_run_rows_written", "Hourly rows that the last run wrote or deleted."},
	{"last_run_rows_read", "Usage rows that the last run read."},
	{"last_run_longest_lock_seconds", "Longest time that the last run held lock 4246."},
	{"last_success_timestamp_seconds", "When the last run ended that did what there was to do."},
	{"watermark_timestamp_seconds", "Everything before this is rolled up."},
	{"newest_event_timestamp_seconds", "When usage was written last."},
	{"lag_seconds", "How far the watermark trails the newest event, when the last run ended."},
	{"queue_keys", "Invalidations that the last run left."},
	{"debts", "Windows owed to transactions still open, or to gaps."},
	{"backfill_progress_ratio", "How far the backfill has come, from 0 to 1."},
	{"history_given_up_rows", "Usage rows that a partial backfill left out for good."},
	{"last_verify_timestamp_seconds", "When hourly rows were last counted again."},
	{"drift_keys", "Hourly rows that the last verify found wrong."},
}

// ofMoment are the families that say something of this moment alone: where a run
// could not even read the watermark they are left out rather than kept.
var ofMoment = []string{"lag_seconds", "queue_keys", "debts"}

// samples are the lines of the file by what stands before the value.
type samples map[string]string

// WriteTextfile writes the metrics of a command's end, or of its progress, for
// node_exporter's textfile collector: atomically, readable by all, without
// timestamps. What the command does not know (how another command ended, the
// watermark where no database answered) stays as the file has it; m is nil
// where nothing could be remembered.
func WriteTextfile(path string, st *State, m *ledger.Memory, version string) error {
	server, database := st.server()
	own := labels("database", database, "server", server)
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the metrics file: %w", err)
	}
	all := kept(old, own)
	all.update(st, m, own, version)
	if err := replace(path, all.render()); err != nil {
		return fmt.Errorf("writing the metrics file: %w", err)
	}
	return nil
}

// replace writes a file that node_exporter, another user, can read, whatever
// the umask and whatever was there.
func replace(path string, content []byte) (err error) {
	file, err := renameio.NewPendingFile(path, renameio.WithStaticPermissions(0o644))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Cleanup()) }()
	if _, err := file.Write(content); err != nil {
		return err
	}
	return file.CloseAtomicallyReplace()
}

// server returns the server's address and the database's name.
func (s *State) server() (server, database string) {
	database = s.Database
	if database == "" {
		_, database, _ = lastCut(s.Target, "/")
	}
	return strings.TrimSuffix(s.Target, "/"+database), database
}

func lastCut(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// kept returns the samples of an older file that are of the same database.
func kept(file []byte, own string) samples {
	all := samples{}
	for line := range strings.Lines(string(file)) {
		key, value, ok := lastCut(strings.TrimSpace(line), " ")
		if ok && !strings.HasPrefix(line, "#") && strings.Contains(key, "{"+own) {
			all[key] = value
		}
	}
	return all
}

func (all samples) set(name, labels string, value float64) {
	all[metricPrefix+name+"{"+labels+"}"] = strconv.FormatFloat(value, 'f', -1, 64)
}

func (all samples) drop(name string) {
	maps.DeleteFunc(all, func(key, _ string) bool { return strings.HasPrefix(key, metricPrefix+name+"{") })
}

// update sets what the command knows.
func (all samples) update(st *State, m *ledger.Memory, own, version string) {
	if st.Command != "verify" { // whose progress and watermark are of its own reading
		all.work(st, own, version)
	}
	if m == nil {
		return
	}
	all.set("history_given_up_rows", own, givenUp(m))
	if d := m.Drift; d != nil {
		all.set("last_verify_timestamp_seconds", own, seconds(d.At))
		all.set("drift_keys", own, float64(d.Keys))
	}
}

// work are the metrics of a run or a backfill.
func (all samples) work(st *State, own, version string) {
	if st.Engine != "" {
		all.drop("info")
		all.set("info", own+","+labels("version", version, "engine", st.Engine, "generation", st.Generation), 1)
	}
	if !st.Finished.IsZero() {
		all.set("last_run_timestamp_seconds", own, seconds(st.Finished))
		all.set("last_run_success", own, boolean(st.Outcome != Failed))
		all.set("last_run_duration_seconds", own, st.Finished.Sub(st.Started).Seconds())
		all.set("last_run_rows_written", own, float64(st.Rows))
		all.set("last_run_rows_read", own, float64(st.Read))
		all.set("last_run_longest_lock_seconds", own, st.LongestHold.Seconds())
		if st.Outcome == Current || st.Outcome == Incomplete || st.Outcome == StandingBy {
			all.set("last_success_timestamp_seconds", own, seconds(st.Finished))
		}
	}
	switch {
	case !st.Watermark.IsZero():
		all.set("watermark_timestamp_seconds", own, seconds(st.Watermark))
		all.set("lag_seconds", own, st.Lag().Seconds())
		all.set("queue_keys", own, float64(st.Queue))
		all.set("debts", own, float64(st.Debts))
	case st.Outcome == Failed:
		for _, name := range ofMoment {
			all.drop(name)
		}
	}
	if !st.Newest.IsZero() {
		all.set("newest_event_timestamp_seconds", own, seconds(st.Newest))
	}
	if p := st.Progress; p != nil {
		ratio := p.Percent() / 100
		if st.Outcome == Current {
			ratio = 1
		}
		all.set("backfill_progress_ratio", own, ratio)
	}
}

func givenUp(m *ledger.Memory) float64 {
	if m.GivenUp == nil {
		return 0
	}
	return float64(m.GivenUp.Events)
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// render writes the samples family by family, in order.
func (all samples) render() []byte {
	var b bytes.Buffer
	for _, f := range metrics {
		name := metricPrefix + f.name
		var lines []string
		for key, value := range all {
			if strings.HasPrefix(key, name+"{") {
				lines = append(lines, key+" "+value)
			}
		}
		if len(lines) == 0 {
			continue
		}
		slices.Sort(lines)
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n%s\n", name, f.help, name, strings.Join(lines, "\n"))
	}
	return b.Bytes()
}

// labels writes name="value" pairs as the format has them.
func labels(pairs ...string) string {
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	var out []string
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, pairs[i]+`="`+escape.Replace(pairs[i+1])+`"`)
	}
	return strings.Join(out, ",")
}
