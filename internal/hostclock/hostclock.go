// Package hostclock reads the clock of this host that nobody sets: how long ago it was booted, time asleep included.
package hostclock

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Reading is what the clock shows.
type Reading struct {
	SinceBoot time.Duration
	Boot      string // which boot that was, as the kernel names it; "" where that is hidden, as by ProcSubset=pid
}

// Read reads the clock (CLOCK_BOOTTIME). It fails only where the kernel has none.
func Read() (r Reading, err error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return r, fmt.Errorf("reading the time since boot: %w", err)
	}
	r.SinceBoot = time.Duration(ts.Nano())
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		r.Boot = strings.TrimSpace(string(id))
	}
	return r, nil
}
