// Package notify tells the service manager how the program is doing, by
// sd_notify's protocol. Without NOTIFY_SOCKET every call does nothing.
package notify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxStatus bounds STATUS=, in bytes: `systemctl status` shows one line.
const maxStatus = 512

// sendTimeout bounds the wait for a manager that does not read.
const sendTimeout = time.Second

// Notifier talks to one service manager. The zero value, and nil, do nothing.
// It is safe for concurrent use.
type Notifier struct {
	socket string

	mu     sync.Mutex
	status string // as last sent, so that a tick without news costs nothing
}

// FromEnv returns the notifier of the manager that started this process.
// Children must not speak for us, so NOTIFY_SOCKET leaves the environment.
func FromEnv() (*Notifier, error) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if err := os.Unsetenv("NOTIFY_SOCKET"); err != nil {
		return nil, fmt.Errorf("clearing NOTIFY_SOCKET: %w", err)
	}
	return New(socket), nil
}

// New returns a notifier for the socket of that path; "@" starts an abstract
// name, "" means that nobody listens.
func New(socket string) *Notifier { return &Notifier{socket: socket} }

// Enabled tells whether a manager listens.
func (n *Notifier) Enabled() bool { return n != nil && n.socket != "" }

// Ready says that start-up is over: a Type=notify service becomes active.
func (n *Notifier) Ready() error { return n.send("READY=1") }

// Status sets the line that `systemctl status` shows. Newlines become blanks,
// and it is cut at 512 bytes; the caller has removed secrets.
func (n *Notifier) Status(line string) error {
	if !n.Enabled() {
		return nil
	}
	line = strings.Join(strings.Fields(line), " ")
	if len(line) > maxStatus {
		line = strings.ToValidUTF8(line[:maxStatus], "")
	}
	n.mu.Lock()
	same := n.status == line
	n.status = line
	n.mu.Unlock()
	if same {
		return nil
	}
	return n.send("STATUS=" + line)
}

// ExtendTimeout asks for d more from now, before the manager gives up on the
// start, the run or the stop that is under way. Repeat it well before d is over.
func (n *Notifier) ExtendTimeout(d time.Duration) error {
	return n.send("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10))
}

func (n *Notifier) send(state string) error {
	if !n.Enabled() {
		return nil
	}
	// Go turns a leading @ into the NUL of an abstract name by itself.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("connecting to the service manager: %w", err)
	}
	defer func() { _ = conn.Close() }() // a datagram is gone once written
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return fmt.Errorf("notifying the service manager: %w", err)
	}
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("notifying the service manager: %w", err)
	}
	return nil
}
