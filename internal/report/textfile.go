package report

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/multica-rollup/multica-rollup/internal/files"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

// metricPrefix begins the name of every metric.
const metricPrefix = "multica_rollup_"

// metric is a family of the textfile; all of them are gauges with the labels
// database and server.
type metric struct {
	name, help string
	// value returns what a command knows of it; where that is nothing, the file keeps what it has.
	value func(known) (v float64, ok bool)
	// labels returns further ones; may be nil.
	labels func(known) string
	// ofMoment says that it tells of this moment alone: where a run could not even
	// read the watermark it is left out rather than kept.
	ofMoment bool
}

// metrics are the families in the order of the file. A run is one of run or
// backfill, whichever ended last.
var metrics = [...]metric{
	{name: "info", help: "What rolls up: version of the agent, engine, and generation of the pipeline.",
		value: func(k known) (float64, bool) { return 1, k.works() && k.st.Engine != "" },
		labels: func(k known) string {
			return labels("version", k.version, "engine", k.st.Engine, "generation", k.st.Generation)
		}},
	{name: "last_run_timestamp_seconds", help: "When the last run ended.",
		value: func(k known) (float64, bool) { return seconds(k.st.Finished), k.ended() }},
	{name: "last_run_success", help: "Whether the last run ended well.",
		value: func(k known) (float64, bool) { return boolean(k.st.Outcome != Failed), k.ended() }},
	{name: "last_run_duration_seconds", help: "How long the last run took.",
		value: func(k known) (float64, bool) { return k.st.Finished.Sub(k.st.Started).Seconds(), k.ended() }},
	{name: "last_run_rows_written", help: "Hourly rows that the last run wrote or deleted.",
		value: func(k known) (float64, bool) { return float64(k.st.Rows), k.ended() }},
	{name: "last_run_rows_read", help: "Usage rows that the last run read.",
		value: func(k known) (float64, bool) { return float64(k.st.Read), k.ended() }},
	{name: "last_run_longest_lock_seconds", help: "Longest time that the last run held lock 4246.",
		value: func(k known) (float64, bool) { return k.st.LongestHold.Seconds(), k.ended() }},
	{name: "last_success_timestamp_seconds", help: "When the last run ended that did what there was to do.",
		value: func(k known) (float64, bool) { return seconds(k.st.Finished), k.ended() && k.didItsWork() }},
	{name: "watermark_timestamp_seconds", help: "Everything before this is rolled up.",
		value: func(k known) (float64, bool) { return seconds(k.st.Watermark), k.sawTheWatermark() }},
	{name: "newest_event_timestamp_seconds", help: "When usage was written last.",
		value: func(k known) (float64, bool) { return seconds(k.st.Newest), k.works() && !k.st.Newest.IsZero() }},
	{name: "lag_seconds", help: "How far the watermark trails the newest event, when the last run ended.", ofMoment: true,
		value: func(k known) (float64, bool) { return k.st.Lag().Seconds(), k.sawTheWatermark() }},
	{name: "queue_keys", help: "Invalidations that the last run left.", ofMoment: true,
		value: func(k known) (float64, bool) { return float64(k.st.Queue), k.sawTheWatermark() }},
	{name: "debts", help: "Windows owed to transactions still open, or to gaps.", ofMoment: true,
		value: func(k known) (float64, bool) { return float64(k.st.Debts), k.sawTheWatermark() }},
	{name: "backfill_progress_ratio", help: "How far the backfill has come, from 0 to 1.",
		value: func(k known) (float64, bool) { return k.progress(), k.works() && k.st.Progress != nil }},
	{name: "history_given_up_rows", help: "Usage rows that a partial backfill left out for good.",
		value: func(k known) (float64, bool) { return k.givenUp(), k.m != nil }},
	{name: "last_verify_timestamp_seconds", help: "When hourly rows were last counted again.",
		value: func(k known) (float64, bool) { return seconds(k.drift().At), k.verified() }},
	{name: "drift_keys", help: "Hourly rows that the last verify found wrong.",
		value: func(k known) (float64, bool) { return float64(k.drift().Keys), k.verified() }},
}

// known is what a command knows at its end, or of its progress.
type known struct {
	st      *State
	m       *ledger.Memory // nil where nothing could be remembered
	version string
}

// works says that it is a run or a backfill: a verify's progress and watermark are of its own reading.
func (k known) works() bool { return k.st.Command != "verify" }

func (k known) ended() bool { return k.works() && !k.st.Finished.IsZero() }

func (k known) didItsWork() bool {
	return k.st.Outcome == Current || k.st.Outcome == Incomplete || k.st.Outcome == StandingBy
}

func (k known) sawTheWatermark() bool { return k.works() && !k.st.Watermark.IsZero() }

func (k known) progress() float64 {
	switch {
	case k.st.Progress == nil:
		return 0
	case k.st.Outcome == Current:
		return 1
	}
	return k.st.Progress.Percent() / 100
}

func (k known) givenUp() float64 {
	if k.m == nil || k.m.GivenUp == nil {
		return 0
	}
	return float64(k.m.GivenUp.Events)
}

func (k known) verified() bool { return k.m != nil && k.m.Drift != nil }

func (k known) drift() ledger.Drift {
	if !k.verified() {
		return ledger.Drift{}
	}
	return *k.m.Drift
}

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
	old, _, err := files.Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the metrics file: %w", err)
	}
	all := kept(old, own)
	all.update(known{st, m, version}, own)
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
func (all samples) update(k known, own string) {
	blind := k.works() && !k.sawTheWatermark() && k.st.Outcome == Failed
	for _, f := range metrics {
		value, ok := f.value(k)
		switch {
		case ok && f.labels != nil:
			all.drop(f.name)
			all.set(f.name, own+","+f.labels(k), value)
		case ok:
			all.set(f.name, own, value)
		case f.ofMoment && blind:
			all.drop(f.name)
		}
	}
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
