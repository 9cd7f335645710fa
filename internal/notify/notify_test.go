package notify

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// manager listens as a service manager does, on an abstract socket.
func manager(t *testing.T) (socket string, read func() []string) {
	t.Helper()
	socket = fmt.Sprintf("@multica-rollup-notify-%d-%d", os.Getpid(), time.Now().UnixNano())
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return socket, func() (got []string) {
		buf := make([]byte, 64<<10)
		for {
			_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			n, err := conn.Read(buf)
			if err != nil {
				return got
			}
			got = append(got, string(buf[:n]))
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func TestMessagesReachTheManager(t *testing.T) {
	socket, read := manager(t)
	n := New(socket)
	check(t, n.Status("slice 1\nof 2"))
	check(t, n.Ready())
	check(t, n.Status("slice 1 of 2")) // no news
	check(t, n.ExtendTimeout(90*time.Second))
	want := []string{"STATUS=slice 1 of 2", "READY=1", "EXTEND_TIMEOUT_USEC=90000000"}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func TestLongStatusIsCutBetweenCharacters(t *testing.T) {
	socket, read := manager(t)
	check(t, New(socket).Status("x"+strings.Repeat("é", 1000)))
	got := read()
	if len(got) != 1 || len(got[0]) != len("STATUS=")+maxStatus-1 || !utf8.ValidString(got[0]) {
		t.Errorf("got %q", got)
	}
}

func TestWithoutAManagerNothingHappens(t *testing.T) {
	for _, n := range []*Notifier{nil, {}, New("")} {
		if n.Enabled() {
			t.Error("enabled without a socket")
		}
		check(t, n.Ready())
		check(t, n.Status("x"))
	}
}

func TestFromEnvKeepsTheSocketFromChildren(t *testing.T) {
	socket, read := manager(t)
	t.Setenv("NOTIFY_SOCKET", socket)
	n, err := FromEnv()
	check(t, err)
	if left, set := os.LookupEnv("NOTIFY_SOCKET"); set {
		t.Errorf("NOTIFY_SOCKET=%q is still set", left)
	}
	check(t, n.Ready())
	if got := read(); len(got) != 1 || got[0] != "READY=1" {
		t.Errorf("got %q", got)
	}
}

func TestManagerThatIsGoneIsAnError(t *testing.T) {
	if err := New("/nonexistent/notify").Ready(); err == nil {
		t.Error("no error")
	}
}
