package pg

import (
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// A peer that vanished without a word is given up after half a minute, whether
// it owes an answer or an acknowledgement. The kernel's own bounds are hours.
const (
	keepaliveIdle     = 15 * time.Second
	keepaliveInterval = 5 * time.Second
	keepaliveCount    = 3
	userTimeout       = 30 * time.Second
)

// newDialer makes a dialer with libpq's keepalives and tcp_user_timeout, as far as a DSN holds them.
func newDialer(params map[string]string) (*net.Dialer, error) {
	d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: keepaliveIdle, Interval: keepaliveInterval, Count: keepaliveCount,
	}}
	timeout := userTimeout
	for _, p := range []struct {
		name string
		take func(n int)
	}{
		{"keepalives", func(n int) {
			if n == 0 {
				d.KeepAliveConfig, d.KeepAlive = net.KeepAliveConfig{}, -1
			}
		}},
		{"keepalives_idle", func(n int) { d.KeepAliveConfig.Idle = time.Duration(n) * time.Second }},
		{"keepalives_interval", func(n int) { d.KeepAliveConfig.Interval = time.Duration(n) * time.Second }},
		{"keepalives_count", func(n int) { d.KeepAliveConfig.Count = n }},
		{"tcp_user_timeout", func(n int) { timeout = time.Duration(n) * time.Millisecond }},
	} {
		text, given := params[p.name]
		if !given {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, problem.New(problem.Config, "write "+p.name+" as a whole number, as libpq takes it", "the DSN cannot be used: %s is not a number", p.name)
		}
		// 0 is libpq's word for the system's default, which is what these bounds are here.
		if n > 0 || p.name == "keepalives" {
			p.take(n)
		}
	}
	d.Control = func(network, _ string, raw syscall.RawConn) error {
		if !strings.HasPrefix(network, "tcp") {
			return nil
		}
		// Where the kernel does not know it, keepalives and the bound on silence remain.
		return raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
		})
	}
	return d, nil
}
