package ledger

import "time"

// Clock is the database's clock beside one of this host that nobody sets.
type Clock struct {
	Database time.Time     `json:"database"`
	Host     time.Duration `json:"host_ns"` // since the host was booted, sleep included (CLOCK_BOOTTIME)
	Boot     string        `json:"boot"`    // which boot that was; "" where that is hidden
}

// drift is what two clocks that nobody sets may differ by, of the time that has gone by.
const drift = 0.0005

// SteppedBack says whether the database's clock was set back since c was noted in the incarnation was, given the clock
// now and the incarnation that it goes on in. earliest is the earliest time that anything written since can carry: what
// lies behind the watermark from there on may not be rolled up. It is zero where that is not known: this host was booted
// meanwhile, so nothing says how far the clock was set back.
func (c *Clock) SteppedBack(was, is Incarnation, now Clock) (earliest time.Time, stepped bool) {
	if c == nil || c.Database.IsZero() {
		return time.Time{}, false
	}
	// A server that was started after c was noted says so too, if its clock shows an earlier time. One that was
	// promoted has been there before.
	anew := was.Timeline == is.Timeline && !was.Server.Equal(is.Server) && is.Server.Before(c.Database)
	if booted := now.Host < c.Host || c.Boot != "" && now.Boot != "" && c.Boot != now.Boot; booted {
		return time.Time{}, anew || now.Database.Before(c.Database)
	}
	gone := now.Host - c.Host
	back := gone - now.Database.Sub(c.Database)
	if back <= time.Second+time.Duration(drift*float64(gone)) {
		// Where nobody may know the boot, the host may have been booted and be up for longer than it was then.
		return time.Time{}, anew && (c.Boot == "" || now.Boot == "")
	}
	return c.Database.Add(-back), true
}
