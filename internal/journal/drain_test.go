package journal

import (
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
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
	sink := &nativeSink{path: path, fallback: &textSink{out: t.Output()}}
	h := &handler{level: slog.LevelInfo, redact: func(s string) string { return s }, sink: sink}
	Drain(h) // nothing was sent
	slog.New(h).Info("the last word")

	// The journal reads once it has seen that somebody waits: it is given twenty looks at the socket.
	var taken atomic.Bool
	read := make(chan error, 1)
	go func() {
		time.Sleep(20 * drainPause)
		taken.Store(true)
		_, err := socket.Read(make([]byte, 4096))
		read <- err
	}()
	sink.drain(5 * time.Minute)
	if !taken.Load() {
		t.Error("it did not wait for the entry to be read")
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}

	slog.New(h).Info("to a journal that reads no more")
	began := time.Now()
	Drain(h) // which returns, though nobody reads
	if took := time.Since(began); took < drainTimeout {
		t.Errorf("it waited %v only, want %v", took, drainTimeout)
	}
	Drain(slog.DiscardHandler)
}
