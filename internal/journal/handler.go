// Package journal writes the program's log: native entries with fields where
// stderr is the systemd journal, text or JSON elsewhere.
//
// A record's message is a complete sentence by itself; its attributes are the
// same facts for machines. So text and journal show the message, the reason and
// the hint, and leave the other known attributes to JSON and to journal fields.
package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"syscall"
	"time"
)

// Identifier is the SYSLOG_IDENTIFIER of every entry: `journalctl -t multica-rollup`.
const Identifier = "multica-rollup"

// LevelNotice marks what is normal but worth a look (syslog's notice).
const LevelNotice = slog.Level(2)

// LevelCritical marks what needs somebody now (syslog's crit).
const LevelCritical = slog.Level(12)

// Format says how records are written.
type Format string

// The formats. Auto is the journal where stderr is connected to it, else text.
const (
	Auto Format = "auto"
	Text Format = "text"
	JSON Format = "json"
)

// Formats returns the formats there are, for help texts and checks.
func Formats() []Format { return []Format{Auto, Text, JSON} }

// Options tune a handler; the zero value logs from info on, to os.Stderr, as Auto.
type Options struct {
	Stderr io.Writer           // os.Stderr if nil
	Format Format              // Auto if ""
	Level  slog.Leveler        // slog.LevelInfo if nil
	Redact func(string) string // applied to messages and to text in attributes; may be nil

	Socket string              // the journal's native socket; systemd's if ""
	Getenv func(string) string // os.Getenv if nil
}

const systemdSocket = "/run/systemd/journal/socket"

// NewHandler returns the handler that suits where the program runs. It never
// fails: where the journal cannot be reached, text goes to stderr.
func NewHandler(opts Options) slog.Handler {
	if opts.Stderr == nil {
		opts.Stderr = os.Stderr
	}
	if opts.Level == nil {
		opts.Level = slog.LevelInfo
	}
	if opts.Redact == nil {
		opts.Redact = func(s string) string { return s }
	}
	if opts.Socket == "" {
		opts.Socket = systemdSocket
	}
	if opts.Getenv == nil {
		opts.Getenv = os.Getenv
	}

	if opts.Format == JSON {
		return slog.NewJSONHandler(opts.Stderr, &slog.HandlerOptions{
			Level:       opts.Level,
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { return normalize(a, opts.Redact) },
		})
	}
	text := &textSink{out: opts.Stderr, times: !isTerminal(opts.Stderr)}
	if opts.Format != Text && isJournal(opts.Stderr, opts.Getenv) {
		text.times = false // the journal has its own
		return &handler{level: opts.Level, redact: opts.Redact, sink: &nativeSink{path: opts.Socket, fallback: text}}
	}
	return &handler{level: opts.Level, redact: opts.Redact, sink: text}
}

// isJournal tells whether w is the stream that systemd connected to the
// journal: a child that redirected its stderr inherits JOURNAL_STREAM too, so
// device and inode have to match (systemd.exec(5)).
func isJournal(w io.Writer, getenv func(string) string) bool {
	var dev, ino uint64
	if _, err := fmt.Sscanf(getenv("JOURNAL_STREAM"), "%d:%d", &dev, &ino); err != nil {
		return false
	}
	info, err := stat(w)
	if err != nil {
		return false
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	return ok && uint64(sys.Dev) == dev && uint64(sys.Ino) == ino
}

func isTerminal(w io.Writer) bool {
	if _, ok := w.(*Terminal); ok {
		return true
	}
	info, err := stat(w)
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func stat(w io.Writer) (os.FileInfo, error) {
	file, ok := w.(*os.File)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return file.Stat()
}

// entry is a record with its attributes flattened and cleaned of secrets.
type entry struct {
	time    time.Time
	level   slog.Level
	message string
	attrs   []slog.Attr // keys of groups joined by "."; later ones win
}

// sink writes entries; handlers derived from one another share it.
type sink interface{ write(entry) error }

// handler flattens records for a sink.
type handler struct {
	level  slog.Leveler
	redact func(string) string
	sink   sink
	prefix string      // of open groups, each followed by "."
	attrs  []slog.Attr // from WithAttrs
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level.Level() }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	e := entry{time: r.Time, level: r.Level, message: h.redact(r.Message), attrs: slices.Clone(h.attrs)}
	r.Attrs(func(a slog.Attr) bool {
		e.attrs = h.flatten(e.attrs, h.prefix, a)
		return true
	})
	return h.sink.write(e)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	derived := *h
	derived.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		derived.attrs = h.flatten(derived.attrs, h.prefix, a)
	}
	return &derived
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	derived := *h
	derived.prefix += name + "."
	return &derived
}

func (h *handler) flatten(to []slog.Attr, prefix string, a slog.Attr) []slog.Attr {
	a.Value = a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return to
	}
	if a.Value.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range a.Value.Group() {
			to = h.flatten(to, prefix, member)
		}
		return to
	}
	if a = normalize(a, h.redact); a.Equal(slog.Attr{}) {
		return to
	}
	a.Key = prefix + a.Key
	return append(to, a)
}

// timeLayout is RFC 3339 with microseconds, PostgreSQL's resolution.
const timeLayout = "2006-01-02T15:04:05.000000Z07:00"

// normalize gives a value the one form that all renderings share: times in UTC
// with microseconds, durations as text ("1.5s"), errors and other values as
// their text, and no secret in any text. An empty text says nothing, so it
// comes back as the empty attribute, which is left out.
func normalize(a slog.Attr, redact func(string) string) slog.Attr {
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(redact(a.Value.String()))
	case slog.KindTime:
		a.Value = slog.StringValue(a.Value.Time().UTC().Format(timeLayout))
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case Event: // its own text
		case slog.Level:
			a.Value = slog.StringValue(levelName(v))
		case error:
			a.Value = slog.StringValue(redact(v.Error()))
		default:
			a.Value = slog.StringValue(redact(fmt.Sprint(v)))
		}
	}
	if a.Value.Kind() == slog.KindString && a.Value.String() == "" {
		return slog.Attr{}
	}
	return a
}
