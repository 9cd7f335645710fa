package journal

import (
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
)

// textSink writes entries for people: a line each, and one more for a hint.
type textSink struct {
	mu    sync.Mutex
	out   io.Writer
	times bool // off on a terminal, where the reader watches
}

func (s *textSink) write(e entry) error {
	var line strings.Builder
	if s.times {
		line.WriteString(e.time.UTC().Format(timeLayout))
		line.WriteByte(' ')
	}
	line.WriteString(Identifier)
	line.WriteString(": ")
	if e.level != slog.LevelInfo {
		line.WriteString(levelName(e.level))
		line.WriteString(": ")
	}
	line.WriteString(oneLine(sentence(e)))
	if hint := find(e.attrs, KeyHint); hint != "" {
		line.WriteString("\nhint: ")
		line.WriteString(oneLine(hint))
	}
	line.WriteByte('\n')

	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := io.WriteString(s.out, line.String())
	return err
}

// sentence is the message with what it cannot be understood without: its
// reason, and attributes that are none of the known keys (which repeat what the
// message says). Debug entries show everything.
func sentence(e entry) string {
	var s strings.Builder
	s.WriteString(e.message)
	if reason := find(e.attrs, KeyReason); reason != "" && !strings.Contains(e.message, reason) {
		s.WriteString(": ")
		s.WriteString(reason)
	}
	for _, a := range e.attrs {
		switch a.Key {
		case KeyReason, KeyHint, KeyEvent:
			continue
		case KeyRows, KeyWatermark, KeyLagSeconds, KeyEngine, KeySliceFrom, KeySliceTo, KeyDurationMS, KeyDatabase:
			if e.level >= slog.LevelInfo {
				continue
			}
		}
		s.WriteByte(' ')
		s.WriteString(a.Key)
		s.WriteByte('=')
		s.WriteString(quoted(a.Value.String()))
	}
	return s.String()
}

func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\r\n\"=") {
		return strconv.Quote(s)
	}
	return s
}

// find returns the text of the last attribute with that key, "" if there is none.
func find(attrs []slog.Attr, key string) string {
	for i := len(attrs) - 1; i >= 0; i-- {
		if attrs[i].Key == key {
			return attrs[i].Value.String()
		}
	}
	return ""
}

// oneLine keeps an entry on its line: PostgreSQL's messages may hold newlines.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func levelName(level slog.Level) string {
	switch {
	case level < slog.LevelInfo:
		return "debug"
	case level < LevelNotice:
		return "info"
	case level < slog.LevelWarn:
		return "notice"
	case level < slog.LevelError:
		return "warning"
	case level < LevelCritical:
		return "error"
	}
	return "critical"
}
