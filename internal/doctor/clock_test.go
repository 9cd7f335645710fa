package doctor_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

// underClock starts the server anew with a clock that setClock sets: libfaketime
// answers for the C library.
func (c *cluster) underClock(p *patient) {
	c.t.Helper()
	libraries, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if err != nil || len(libraries) == 0 {
		c.t.Fatalf("there is no libfaketime (apt-get install faketime): %v", err)
	}
	c.clockFile = filepath.Join(c.t.TempDir(), "clock")
	// Below a directory that the test alone may enter: the server has another owner where the test is root.
	for _, dir := range []string{filepath.Dir(c.clockFile), filepath.Dir(filepath.Dir(c.clockFile))} {
		if err := os.Chmod(dir, 0o755); err != nil {
			c.t.Fatal(err)
		}
	}
	c.setClock(0)
	c.ctl("stop")
	c.environment = []string{
		"LD_PRELOAD=" + libraries[0], "FAKETIME_TIMESTAMP_FILE=" + c.clockFile, "FAKETIME_NO_CACHE=1",
		"FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1", // waits and files go by the real one
	}
	c.ctl("start")
	p.conn = c.connect("multica")
}

// setClock has the server's clock differ from the host's.
func (c *cluster) setClock(by time.Duration) {
	c.t.Helper()
	next := c.clockFile + ".next"
	if err := os.WriteFile(next, fmt.Appendf(nil, "%+d\n", int(by.Seconds())), 0o644); err != nil {
		c.t.Fatal(err)
	}
	// At once: every reading of the clock reads the file.
	if err := os.Rename(next, c.clockFile); err != nil {
		c.t.Fatal(err)
	}
}

// TestUsageAfterTheClockWasSetBackIsRolledUp: a hardware clock in local time has the server eight hours ahead, until it is set
// right. What is written then lies behind the watermark; in a trial 36 hourly rows were missing, and status said OK.
func TestUsageAfterTheClockWasSetBackIsRolledUp(t *testing.T) {
	c := newCluster(t, nil)
	p := c.patient(lab.Gen272)
	c.underClock(p)
	c.setClock(8 * time.Hour)
	p.run()
	c.setClock(0)
	p.exec("update task_usage set input_tokens = input_tokens + 1, updated_at = now() where id in (select id from task_usage order by id limit 36)")
	p.run()
	var noticed bool
	for _, n := range p.memory().Notices {
		noticed = noticed || n.Kind == ledger.ClockSteppedBack
	}
	if !noticed {
		t.Errorf("nothing was noticed: %v", p.memory().Notices)
	}
	if f := p.examine("incarnation").Findings[0]; !strings.Contains(strings.Join(f.Evidence, "\n"), "clock was set back") {
		t.Errorf("doctor does not say so: %v", f.Evidence)
	}
	c.setClock(10 * time.Minute) // as time goes by
	p.run()
	diffs, err := lab.Oracle(t.Context(), p.conn)
	if err != nil || len(diffs) > 0 {
		t.Errorf("%d hourly rows differ, %v", len(diffs), err)
	}
}

func (p *patient) memory() ledger.Memory {
	p.t.Helper()
	m, err := p.store().Load()
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}
