package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const secret = "hunter2"

func redact(s string) string { return strings.ReplaceAll(s, secret, "***") }

// logSample writes the entries that the tests of all formats look at.
func logSample(log *slog.Logger) {
	at := time.Date(2026, 3, 29, 1, 30, 0, 123456789, time.FixedZone("CET", 3600))
	log.Info("rolled up 12 rows", RunFinished.Attr(), Rows(12), Watermark(at), Lag(300*time.Second),
		Engine("set"), Reason(""), SliceFrom(at.Add(-time.Hour)), SliceTo(at), Duration(1500*time.Millisecond))
	log.Error("connecting with "+secret, DatabaseUnreachable.Attr(), Database("db1 as hunter2"),
		slog.Any("err", errors.New("bad password hunter2")), Reason("line one\nline two"), Hint("check the dsn"))
	log.With("pid", 7).WithGroup("holder").
		Log(context.Background(), LevelNotice, "lock held", LockBusy.Attr(), slog.Group("app", "name", "a b"))
	log.Debug("slice done", SliceDone.Attr(), Rows(3))
}

func TestTextShowsMessageReasonAndHintWithoutSecrets(t *testing.T) {
	var out bytes.Buffer
	text := &textSink{out: &out}
	logSample(slog.New(&handler{level: slog.LevelDebug, redact: redact, sink: text}))
	want := `multica-rollup: rolled up 12 rows
multica-rollup: error: connecting with ***: line one line two err="bad password ***"
hint: check the dsn
multica-rollup: notice: lock held pid=7 holder.event=lock-busy holder.app.name="a b"
multica-rollup: debug: slice done rows=3
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestTextToAFileStartsWithTheTime(t *testing.T) {
	var out bytes.Buffer
	slog.New(NewHandler(Options{Stderr: &out, Format: Text})).Info("hello")
	stamp, rest, _ := strings.Cut(out.String(), " ")
	if _, err := time.Parse(timeLayout, stamp); err != nil || rest != "multica-rollup: hello\n" {
		t.Errorf("got %q, want a time and the message (%v)", out.String(), err)
	}
}

func TestJSONCarriesTypedFieldsWithoutSecrets(t *testing.T) {
	var out bytes.Buffer
	logSample(slog.New(NewHandler(Options{Stderr: &out, Format: JSON, Level: slog.LevelInfo, Redact: redact})))
	var got []map[string]any
	for dec := json.NewDecoder(&out); dec.More(); {
		var line map[string]any
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if _, err := time.Parse(timeLayout, line["time"].(string)); err != nil {
			t.Error(err)
		}
		delete(line, "time")
		got = append(got, line)
	}
	want := []map[string]any{
		{
			"level": "info", "msg": "rolled up 12 rows", "event": "run-finished", "rows": 12.0,
			"watermark": "2026-03-29T00:30:00.123456Z", "lag_seconds": 300.0, "engine": "set", "duration_ms": 1500.0,
			"slice_from": "2026-03-28T23:30:00.123456Z", "slice_to": "2026-03-29T00:30:00.123456Z",
		},
		{
			"level": "error", "msg": "connecting with ***", "event": "database-unreachable", "database": "db1 as ***",
			"err": "bad password ***", "reason": "line one\nline two", "hint": "check the dsn",
		},
		{
			"level": "notice", "msg": "lock held", "pid": 7.0,
			"holder": map[string]any{"event": "lock-busy", "app": map[string]any{"name": "a b"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("json (-want +got):\n%s", diff)
	}
}

// receiver is a journal of our own: a datagram socket on a short path.
func receiver(t *testing.T) (path string, read func() []map[string]string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "journal") // t.TempDir can exceed a socket's 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "socket")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return path, func() (entries []map[string]string) {
		buf := make([]byte, 1<<20)
		for {
			_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			n, err := conn.Read(buf)
			if err != nil {
				return entries
			}
			entries = append(entries, parse(t, buf[:n]))
		}
	}
}

// parse reads the native protocol as journald does.
func parse(t *testing.T, data []byte) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for len(data) > 0 {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			t.Fatalf("no newline after %q", data)
		}
		if name, value, inline := bytes.Cut(line, []byte("=")); inline {
			fields[string(name)] = string(value)
			data = rest
			continue
		}
		size := binary.LittleEndian.Uint64(rest)
		fields[string(line)] = string(rest[8 : 8+size])
		if rest[8+size] != '\n' {
			t.Fatalf("field %s does not end with a newline", line)
		}
		data = rest[8+size+1:]
	}
	return fields
}

// journalFile returns a file and the JOURNAL_STREAM that names it.
func journalFile(t *testing.T) (*os.File, func(string) string) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	sys := info.Sys().(*syscall.Stat_t)
	return file, func(name string) string {
		if name != "JOURNAL_STREAM" {
			return ""
		}
		return fmt.Sprintf("%d:%d", sys.Dev, sys.Ino)
	}
}

func TestJournalEntriesCarryFieldsAndMessageID(t *testing.T) {
	path, read := receiver(t)
	stderr, getenv := journalFile(t)
	logSample(slog.New(NewHandler(Options{Stderr: stderr, Getenv: getenv, Socket: path, Redact: redact})))
	want := []map[string]string{
		{
			"MESSAGE": "rolled up 12 rows", "PRIORITY": "6", "SYSLOG_IDENTIFIER": "multica-rollup",
			"MESSAGE_ID": RunFinished.UUID(), "MULTICA_ROLLUP_EVENT": "run-finished", "MULTICA_ROLLUP_ROWS": "12",
			"MULTICA_ROLLUP_WATERMARK": "2026-03-29T00:30:00.123456Z", "MULTICA_ROLLUP_LAG_SECONDS": "300",
			"MULTICA_ROLLUP_ENGINE": "set", "MULTICA_ROLLUP_DURATION_MS": "1500",
			"MULTICA_ROLLUP_SLICE_FROM": "2026-03-28T23:30:00.123456Z", "MULTICA_ROLLUP_SLICE_TO": "2026-03-29T00:30:00.123456Z",
		},
		{
			"MESSAGE": "connecting with ***: line one\nline two err=\"bad password ***\"\nhint: check the dsn", "PRIORITY": "3",
			"SYSLOG_IDENTIFIER": "multica-rollup", "MESSAGE_ID": DatabaseUnreachable.UUID(), "MULTICA_ROLLUP_EVENT": "database-unreachable",
			"MULTICA_ROLLUP_DATABASE": "db1 as ***", "MULTICA_ROLLUP_ERR": "bad password ***",
			"MULTICA_ROLLUP_REASON": "line one\nline two", "MULTICA_ROLLUP_HINT": "check the dsn",
		},
		{
			"MESSAGE": `lock held pid=7 holder.event=lock-busy holder.app.name="a b"`, "PRIORITY": "5", "SYSLOG_IDENTIFIER": "multica-rollup",
			"MESSAGE_ID": LockBusy.UUID(), "MULTICA_ROLLUP_HOLDER_EVENT": "lock-busy",
			"MULTICA_ROLLUP_PID": "7", "MULTICA_ROLLUP_HOLDER_APP_NAME": "a b",
		},
	}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if written, err := os.ReadFile(stderr.Name()); err != nil || len(written) > 0 {
		t.Errorf("stderr holds %q (%v), want nothing beside the journal", written, err)
	}
}

func TestOneAttributeGivenTwiceIsOneField(t *testing.T) {
	path, read := receiver(t)
	stderr, getenv := journalFile(t)
	log := slog.New(NewHandler(Options{Stderr: stderr, Getenv: getenv, Socket: path})).With(Engine("set"))
	log.Info("x", Engine("function"))
	if got := read(); len(got) != 1 || got[0]["MULTICA_ROLLUP_ENGINE"] != "function" {
		t.Errorf("got %v, want one entry with the later engine", got)
	}
}

func TestHugeValuesAreCutToFitADatagram(t *testing.T) {
	path, read := receiver(t)
	stderr, getenv := journalFile(t)
	log := slog.New(NewHandler(Options{Stderr: stderr, Getenv: getenv, Socket: path}))
	log.Info(strings.Repeat("é", 1<<20), "detail", strings.Repeat("x", 1<<20))
	got := read()
	if len(got) != 1 || len(got[0]["MULTICA_ROLLUP_DETAIL"]) != maxValue || got[0]["MESSAGE"] != strings.Repeat("é", maxValue/2) {
		t.Errorf("got %d entries, want one with values of %d bytes", len(got), maxValue)
	}
}

func TestJournalThatIsGoneFallsBackToStderrAndComesBack(t *testing.T) {
	path, read := receiver(t)
	stderr, getenv := journalFile(t)
	log := slog.New(NewHandler(Options{Stderr: stderr, Getenv: getenv, Socket: path}))
	log.Info("first")
	if got := read(); len(got) != 1 {
		t.Fatalf("got %v, want the first entry", got)
	}
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	gone := slog.New(NewHandler(Options{Stderr: stderr, Getenv: getenv, Socket: path}))
	gone.Info("second", Hint("look"))
	if written, err := os.ReadFile(stderr.Name()); err != nil || string(written) != "multica-rollup: second\nhint: look\n" {
		t.Errorf("stderr holds %q (%v), want the entry as text", written, err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	gone.Info("third")
	if got := read(); len(got) != 1 || got[0]["MESSAGE"] != "third" {
		t.Errorf("got %v, want the third entry in the journal again", got)
	}
}

func TestJournalIsUsedOnlyWhereStderrIsItsStream(t *testing.T) {
	path, read := receiver(t)
	stderr, getenv := journalFile(t)
	other, _ := journalFile(t)
	none := func(string) string { return "" }
	for name, opts := range map[string]Options{
		"redirected stderr": {Stderr: other, Getenv: getenv},
		"no stream":         {Stderr: stderr, Getenv: none},
		"text asked for":    {Stderr: stderr, Getenv: getenv, Format: Text},
		"json asked for":    {Stderr: stderr, Getenv: getenv, Format: JSON},
		"malformed stream":  {Stderr: stderr, Getenv: func(string) string { return "x" }},
	} {
		opts.Socket = path
		slog.New(NewHandler(opts)).Info(name)
		if got := read(); len(got) != 0 {
			t.Errorf("%s: the journal got %v", name, got)
		}
	}
}

func TestLevelsMapToSyslogPriorities(t *testing.T) {
	for level, want := range map[slog.Level]int{
		slog.LevelDebug: 7, slog.LevelInfo: 6, LevelNotice: 5, slog.LevelWarn: 4, slog.LevelError: 3, LevelCritical: 2,
	} {
		if got := priority(level); got != want {
			t.Errorf("priority(%v) = %d, want %d", level, got, want)
		}
	}
}
