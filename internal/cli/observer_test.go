package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// manager is a service manager that listens.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

// watched returns an observer, the manager that it talks to, and its log.
func watched(t *testing.T) (*observer, *manager, *strings.Builder) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	var log strings.Builder
	a := &app{err: &log, loaded: &config.Loaded{Config: config.Defaults()}}
	a.setLog(config.Defaults(), nil)
	return a.newObserver(time.Minute), &manager{t: t, conn: conn}, &log
}

// next returns the next STATUS= that comes within a time, "" where none does.
func (m *manager) next(within time.Duration) string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		m.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := m.conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return ""
		}
		if err != nil {
			m.t.Fatal(err)
		}
		if line, ok := strings.CutPrefix(string(buf[:n]), "STATUS="); ok {
			return line
		}
	}
}

func backfilling(done int64) *report.State {
	return &report.State{Command: "backfill", Phase: report.Walking, Slices: done, Watermark: time.Unix(0, 0), Progress: &report.Progress{Done: done, Total: 100}}
}

func TestTheLastStateBeforeALongSilenceIsTold(t *testing.T) {
	o, m, _ := watched(t)
	for done := range int64(3) {
		o.observe(backfilling(done)) // at once, one after the other
	}
	var last string
	for line := m.next(time.Minute); line != ""; line = m.next(time.Minute) {
		if last = line; strings.Contains(line, "(2 of 100 rows)") {
			return
		}
	}
	t.Errorf("what was told last is %q, want all that was done", last)
}

func TestANewReasonToWaitIsToldAtOnce(t *testing.T) {
	o, m, _ := watched(t)
	o.observe(backfilling(1))
	if line := m.next(time.Minute); !strings.Contains(line, "1.0 %") {
		t.Fatalf("told %q", line)
	}
	st := backfilling(2)
	st.Throttle, st.Pausing = "pausing 4s between slices", true
	o.mu.Lock()
	o.told = time.Now().Add(time.Hour) // as if the last telling were ever so fresh
	o.mu.Unlock()
	o.observe(st)
	if line := m.next(time.Minute); !strings.HasPrefix(line, "pausing 4s between slices; 2.0 %") {
		t.Errorf("told %q, want the reason", line)
	}
}

func TestTheStatusShowsTheWarnings(t *testing.T) {
	o, m, _ := watched(t)
	var drawn []string
	o.paint = func(line string) { drawn = append(drawn, line) }
	st := backfilling(1)
	st.Warn("cannot read the signal replica lag")
	o.observe(st)
	if line := m.next(time.Minute); !strings.HasSuffix(line, " rows) [warning: cannot read the signal replica lag]") {
		t.Errorf("told %q, want the warning in it", line)
	}
	if len(drawn) != 1 || strings.Contains(drawn[0], "warning") {
		t.Errorf("drew %q, want a line without the warning, which is above it", drawn)
	}
}

func TestTheManagerIsNotFlooded(t *testing.T) {
	o, m, _ := watched(t)
	lines := make(chan []string, 1)
	go func() {
		var all []string
		for line := m.next(time.Hour); line != ""; line = m.next(time.Hour) {
			if all = append(all, line); strings.Contains(line, "(99 of 100 rows)") {
				break
			}
		}
		lines <- all
	}()
	// By a clock of the test's own: 50 states within 2.45 seconds, however slow the machine.
	synctest.Test(t, func(*testing.T) {
		for done := range int64(50) {
			o.observe(backfilling(done))
			time.Sleep(telling / 4)
		}
		o.last(backfilling(99))
	})
	const wanted = 1 + 49/4 + 1 // the first, one each fifth of a second, and how it ended
	if told := <-lines; len(told) != wanted || !strings.Contains(told[0], "(0 of 100 rows)") {
		t.Errorf("%d of 50 states were told, want %d: %q", len(told), wanted, told)
	}
}

func TestOnlyProgressBecomesAnEntryOfProgress(t *testing.T) {
	o, _, log := watched(t)
	o.entry = time.Nanosecond
	o.observe(backfilling(1))
	if !strings.Contains(log.String(), "1.0 %") {
		t.Fatalf("the log has no progress: %q", log)
	}
	log.Reset()
	waiting := backfilling(1)
	waiting.Throttle = "outside of the window 22:00-06:00"
	failed := backfilling(2)
	failed.Outcome, failed.Error, failed.Phase = report.Failed, "connecting: refused", report.Done
	for _, st := range []*report.State{waiting, failed} {
		o.observe(st)
		if log.Len() > 0 {
			t.Errorf("%s became an entry: %s", fmt.Sprint(st.Outcome, st.Throttle), log)
		}
	}
}
