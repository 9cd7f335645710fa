package journal

import (
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"
)

func TestDrainWaitsUntilTheJournalHasReadTheLastEntry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	h := &handler{level: slog.LevelInfo, redact: func(s string) string { return s }, sink: &nativeSink{path: path, fallback: &textSink{out: t.Output()}}}
	Drain(h) // nothing was sent
	slog.New(h).Info("the last word")

	const busy = 200 * time.Millisecond
	read := make(chan error, 1)
	go func() {
		time.Sleep(busy)
		_, err := socket.Read(make([]byte, 4096))
		read <- err
	}()
	began := time.Now()
	Drain(h)
	if took := time.Since(began); took < busy || took >= drainTimeout {
		t.Errorf("it waited %v for an entry that is read after %v", took, busy)
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}

	slog.New(h).Info("to a journal that reads no more")
	began = time.Now()
	Drain(h)
	if took := time.Since(began); took < drainTimeout || took > 3*drainTimeout {
		t.Errorf("it waited %v, want about %v", took, drainTimeout)
	}
	Drain(slog.DiscardHandler)
}
