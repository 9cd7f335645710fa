package fault_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fate is what becomes of a statement at a boundary.
type fate int

const (
	passed    fate = iota // nothing
	unsent                // the connection is cut before the server gets it
	unheard               // the server gets it and carries it out, but its answer never arrives
	delayed               // it arrives late
	swallowed             // the server does not get it, and neither side is told: the connection stays open
	frozen                // the server gets it and carries it out, and from then on it is as swallowed
)

func (f fate) String() string {
	return [...]string{"passed", "unsent", "unheard", "delayed", "swallowed", "frozen"}[f]
}

// proxy sits between agent and server and counts the statements that go by:
// one for each simple query and each Sync. One of them, the n-th, meets its fate.
type proxy struct {
	listener net.Listener
	server   func() (net.Conn, error)
	dsn      string

	mu    sync.Mutex
	seen  int
	nth   int
	fate  fate
	met   chan struct{} // closed when it has
	hook  func()        // called when it does, before anything becomes of it
	conns map[net.Conn]bool
	black bool          // nothing passes any more, on old and new connections, and none is closed
	late  time.Duration // by which each statement arrives after it was sent
	calls int           // connections made since it was zero
}

// newProxy listens before the server of a URL that leads to a unix socket or to TCP.
func newProxy(t *testing.T, dsn string) *proxy {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	network, address := "tcp", u.Host
	if dir := u.Query().Get("host"); dir != "" {
		network, address = "unix", dir+"/.s.PGSQL."+u.Query().Get("port")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{
		listener: l, dsn: "postgres://postgres@" + l.Addr().String() + u.Path + "?sslmode=disable", conns: map[net.Conn]bool{},
		server: func() (net.Conn, error) { return net.Dial(network, address) },
	}
	t.Cleanup(func() {
		_ = l.Close()
		p.cutAll()
	})
	go p.serve()
	return p
}

// arrange has the n-th statement from now on meet its fate; the channel is closed when it has.
func (p *proxy) arrange(n int, f fate, hook func()) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen, p.nth, p.fate, p.hook, p.met = 0, n, f, hook, make(chan struct{})
	return p.met
}

// cutAll ends every connection there is.
func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// blackOut swallows whatever is said from now on. Connections are accepted as
// before: the kernel of a host that hangs goes on doing that.
func (p *proxy) blackOut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.black = true
}

func (p *proxy) isBlack() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.black
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.isBlack() {
			p.mu.Lock()
			p.conns[client] = true
			p.mu.Unlock()
			continue
		}
		server, err := p.server()
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.calls++
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		answers := make(chan bool)
		carriedOut := make(chan struct{}) // closed when the server has answered what nobody hears, or is gone
		silent := &atomic.Bool{}          // the network is gone: neither side hears of the other again
		go p.forward(client, server, answers, carriedOut, silent)
		go func() {
			defer close(carriedOut)
			muted := false
			buffer := make([]byte, 1<<16)
			for {
				n, err := server.Read(buffer)
				select {
				case <-answers:
					muted = true
				default:
				}
				if muted {
					break
				}
				if n > 0 && !muted && !silent.Load() && !p.isBlack() {
					if _, werr := client.Write(buffer[:n]); werr != nil {
						break
					}
				}
				if err != nil {
					break
				}
			}
			if silent.Load() || p.isBlack() {
				return // cutAll closes what is left
			}
			_ = client.Close()
			_ = server.Close()
		}()
	}
}

// judge returns what becomes of the next statement, and how late it arrives.
func (p *proxy) judge() (fate, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen++
	if p.nth == 0 || p.seen != p.nth {
		return passed, p.late
	}
	if p.hook != nil {
		p.hook()
	}
	close(p.met)
	return p.fate, p.late
}

// forward passes on what the client says, message by message.
func (p *proxy) forward(client, server net.Conn, mute chan<- bool, carriedOut <-chan struct{}, silent *atomic.Bool) {
	defer func() {
		if !silent.Load() && !p.isBlack() {
			_ = client.Close()
			_ = server.Close()
		}
	}()
	if !relayStartup(client, server) {
		return
	}
	header := make([]byte, 5)
	var batch []byte // what makes one statement goes on in one piece, as the driver wrote it
	for {
		if _, err := io.ReadFull(client, header); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(header[1:])-4)
		if _, err := io.ReadFull(client, body); err != nil {
			return
		}
		batch = append(append(batch, header...), body...)
		if strings.IndexByte("PBDEC", header[0]) >= 0 {
			continue
		}
		statement := batch
		batch = nil
		f := passed
		if header[0] == 'Q' || header[0] == 'S' {
			var late time.Duration
			f, late = p.judge()
			time.Sleep(late)
		}
		if p.isBlack() {
			f = swallowed
		}
		switch f {
		case swallowed, frozen:
			silent.Store(true)
			if f == frozen {
				_, _ = server.Write(statement) // an error is one more answer that nobody hears
			}
			_, _ = io.Copy(io.Discard, client) // acknowledged, and no more
			return
		case unsent:
			return
		case delayed:
			time.Sleep(300 * time.Millisecond)
		case unheard:
			close(mute)
		case passed:
		}
		if _, err := server.Write(statement); err != nil {
			return
		}
		if f == unheard {
			<-carriedOut
			return
		}
	}
}

// relayStartup passes on the first message, which has no type. Encryption is
// declined by the agent's DSN, and a cancel request is nothing more than this.
func relayStartup(client, server net.Conn) bool {
	length := make([]byte, 4)
	if _, err := io.ReadFull(client, length); err != nil {
		return false
	}
	body := make([]byte, binary.BigEndian.Uint32(length)-4)
	if _, err := io.ReadFull(client, body); err != nil {
		return false
	}
	_, err := server.Write(append(length, body...))
	return err == nil
}
