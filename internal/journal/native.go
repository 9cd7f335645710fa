package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// maxValue bounds a field, in bytes, so that an entry always fits one datagram
// (the kernel's default socket buffer is 212,992 bytes). The longest value we
// log is a PostgreSQL error with its detail.
const maxValue = 8 << 10

// sendTimeout bounds the wait for a journal that does not read: logging must
// not keep a slice's lock.
const sendTimeout = 2 * time.Second

// nativeSink sends entries to the journal by its native protocol
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/), one datagram each.
//
// The protocol is written out here rather than taken from go-systemd, whose
// socket is a package variable: it can be neither tested nor bounded in time.
type nativeSink struct {
	path     string
	fallback *textSink

	mu   sync.Mutex
	conn *net.UnixConn // nil until the first entry
}

// write falls back to text when the journal does not take the entry.
func (s *nativeSink) write(e entry) error {
	if err := s.send(datagram(e)); err != nil {
		return s.fallback.write(e)
	}
	return nil
}

// send tries a second time on a new connection: a restarted journal leaves the
// old one refused.
func (s *nativeSink) send(data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for range 2 {
		if s.conn == nil {
			if s.conn, err = net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.path, Net: "unixgram"}); err != nil {
				s.conn = nil
				return fmt.Errorf("connecting to the journal: %w", err)
			}
		}
		if err = s.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err == nil {
			if _, err = s.conn.Write(data); err == nil {
				return nil
			}
		}
		_ = s.conn.Close() // nothing is buffered that closing could lose
		s.conn = nil
	}
	return fmt.Errorf("sending to the journal: %w", err)
}

// datagram renders an entry as the journal's native protocol has it.
func datagram(e entry) []byte {
	message := sentence(e)
	if hint := find(e.attrs, KeyHint); hint != "" {
		message += "\nhint: " + hint
	}
	var data bytes.Buffer
	appendField(&data, "MESSAGE", message)
	appendField(&data, "PRIORITY", strconv.Itoa(priority(e.level)))
	appendField(&data, "SYSLOG_IDENTIFIER", Identifier)

	last := map[string]slog.Value{}
	var order []string
	for _, a := range e.attrs {
		name := fieldName(a.Key)
		if _, seen := last[name]; !seen {
			order = append(order, name)
		}
		last[name] = a.Value
	}
	for _, name := range order {
		value := last[name]
		appendField(&data, name, value.String())
		if event, ok := value.Any().(Event); ok && event.UUID() != "" {
			appendField(&data, "MESSAGE_ID", event.UUID())
		}
	}
	return data.Bytes()
}

// fieldName makes a journal field of an attribute's key: capitals, digits and
// underscores, at most 64 bytes (journald drops others).
func fieldName(key string) string {
	name := "MULTICA_ROLLUP_" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
	return name[:min(len(name), 64)]
}

func appendField(to *bytes.Buffer, name, value string) {
	value = cut(value)
	to.WriteString(name)
	if strings.ContainsRune(value, '\n') {
		to.WriteByte('\n')
		to.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
	} else {
		to.WriteByte('=')
	}
	to.WriteString(value)
	to.WriteByte('\n')
}

// cut shortens a value to maxValue without splitting a character.
func cut(value string) string {
	if len(value) <= maxValue {
		return value
	}
	end := maxValue
	for end > 0 && !utf8.RuneStart(value[end]) {
		end--
	}
	return value[:end]
}

// priority maps a level to syslog's.
func priority(level slog.Level) int {
	switch {
	case level < slog.LevelInfo:
		return 7
	case level < LevelNotice:
		return 6
	case level < slog.LevelWarn:
		return 5
	case level < slog.LevelError:
		return 4
	case level < LevelCritical:
		return 3
	}
	return 2
}
