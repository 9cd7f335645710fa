package journal

import (
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// drainTimeout bounds the wait for a journal that is busy.
	drainTimeout = time.Second
	// drainPause is how often the socket is looked at, and what the journal is
	// given after it has taken the last entry to look up who sent it.
	drainPause = 10 * time.Millisecond
)

// Drain waits, for a second at most, until the journal has taken the entries
// that h has sent. The journal looks up the sender's unit when it reads an
// entry: of a process that is gone by then `journalctl -u` would not show the
// last words, and those are the ones that say why it ended. Call it before the
// process exits; for other handlers it does nothing.
func Drain(h slog.Handler) {
	native, ok := h.(*handler)
	if !ok {
		return
	}
	if sink, ok := native.sink.(*nativeSink); ok {
		sink.drain(drainTimeout)
	}
}

func (s *nativeSink) drain(atMost time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return
	}
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return // closed: nothing is waited for
	}
	for deadline := time.Now().Add(atMost); time.Now().Before(deadline); {
		unread := 0
		err := raw.Control(func(fd uintptr) {
			if n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
				unread = n
			}
		})
		time.Sleep(drainPause)
		if err != nil || unread == 0 {
			return
		}
	}
}
