package doctor_test

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
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
