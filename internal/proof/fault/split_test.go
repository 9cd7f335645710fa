package fault_test

import (
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// splitting is which statements a splitter sends to the standby.
type splitting int

const (
	outside splitting = iota // each SELECT outside of a transaction, as poolers do by default
	guided                   // the same, but what asks whether the server is in recovery is for the primary
	every                    // each SELECT, within transactions too, as poolers can
)

func (s splitting) String() string { return [...]string{"outside", "guided", "every"}[s] }

// splitter is a pooler that sends what reads to a standby and the rest to the primary. Its clients see one
// session; behind it are two.
type splitter struct {
	dsn              string
	primary, standby string // addresses
	mode             splitting

	mu   sync.Mutex
	sent []string // statements that went to the standby
	bare []string // those that came outside of a transaction
}

// newSplitter listens before a primary and its standby.
func newSplitter(t *testing.T, mode splitting, primary, standby *cluster) *splitter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s := &splitter{
		dsn:     "postgres://postgres@" + l.Addr().String() + "/" + primary.name + "?sslmode=disable",
		primary: "127.0.0.1:" + primary.port, standby: "127.0.0.1:" + standby.port, mode: mode,
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				if err := s.serve(client); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) {
					t.Log("splitter: " + err.Error())
				}
			}()
		}
	}()
	return s
}

// seen returns the statements that went to the standby, and those that came outside of a transaction.
func (s *splitter) seen() (sent, bare []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.sent...), append([]string{}, s.bare...)
}

// serve is one client's session.
func (s *splitter) serve(client net.Conn) error {
	backend := pgproto3.NewBackend(client, client)
	startup, err := backend.ReceiveStartupMessage()
	if err != nil {
		return err
	}
	message, ok := startup.(*pgproto3.StartupMessage)
	if !ok {
		return nil // a request to cancel: nothing here lasts long enough
	}
	primary, err := s.open(s.primary, message, backend)
	if err != nil {
		return err
	}
	defer primary.Close()
	standby, err := s.open(s.standby, message, nil)
	if err != nil {
		return err
	}
	defer standby.Close()
	status := byte('I') // of the transaction on the primary, the only one that begins any
	var batch []pgproto3.FrontendMessage
	var sql string
	for {
		m, err := backend.Receive()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.Terminate:
			return nil
		case *pgproto3.Parse:
			sql = m.Query
		case *pgproto3.Query:
			sql = m.String
		}
		to := primary
		_, simple := m.(*pgproto3.Query)
		_, sync := m.(*pgproto3.Sync)
		if !simple && !sync {
			batch = append(batch, clone(m))
			continue
		}
		if s.divert(sql, status) {
			to = standby
		}
		for _, earlier := range batch {
			to.frontend.Send(earlier)
		}
		to.frontend.Send(m)
		if err := to.frontend.Flush(); err != nil {
			return err
		}
		batch, sql = nil, ""
		if status, err = relay(to, backend, status, to == primary); err != nil {
			return err
		}
	}
}

// divert says whether a statement goes to the standby, and notes it.
func (s *splitter) divert(sql string, status byte) bool {
	if !selects(sql) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if status == 'I' {
		s.bare = append(s.bare, sql)
	}
	if status != 'I' && s.mode != every || s.mode == guided && strings.Contains(sql, "pg_is_in_recovery") {
		return false
	}
	s.sent = append(s.sent, sql)
	return true
}

var (
	comments = regexp.MustCompile(`(?m)--.*$`)
	writes   = regexp.MustCompile(`(?i)\b(insert\s+into|delete\s+from|update\s+\w+\s+(\w+\s+)?set)\b`)
)

// selects says whether a statement reads, as far as a pooler looks.
func selects(sql string) bool {
	sql = strings.ToLower(strings.TrimSpace(comments.ReplaceAllString(sql, "")))
	return (strings.HasPrefix(sql, "select") || strings.HasPrefix(sql, "with")) && !writes.MatchString(sql)
}

// end is a session with one of the servers.
type end struct {
	net.Conn
	frontend *pgproto3.Frontend
}

// open begins a session; what the server says of it goes to the client, where there is one.
func (s *splitter) open(address string, startup *pgproto3.StartupMessage, client *pgproto3.Backend) (*end, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	e := &end{conn, pgproto3.NewFrontend(conn, conn)}
	e.frontend.Send(startup)
	if err := e.frontend.Flush(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if _, err := relay(e, client, 'I', true); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return e, nil
}

// relay passes on what a server says up to its next readiness. The state of the transaction is the primary's.
func relay(from *end, client *pgproto3.Backend, status byte, primary bool) (byte, error) {
	for {
		m, err := from.frontend.Receive()
		if err != nil {
			return status, err
		}
		ready, ends := m.(*pgproto3.ReadyForQuery)
		if ends {
			if primary {
				status = ready.TxStatus
			}
			ready.TxStatus = status
		}
		if client != nil {
			client.Send(m)
		}
		if ends {
			if client == nil {
				return status, nil
			}
			return status, client.Flush()
		}
		if client != nil {
			if err := client.Flush(); err != nil { // the next Receive reuses m
				return status, err
			}
		}
	}
}

// clone keeps a message that the next Receive would overwrite.
func clone(m pgproto3.FrontendMessage) pgproto3.FrontendMessage {
	text, err := m.Encode(nil)
	if err != nil {
		panic(err)
	}
	var again pgproto3.FrontendMessage
	switch m.(type) {
	case *pgproto3.Parse:
		again = &pgproto3.Parse{}
	case *pgproto3.Bind:
		again = &pgproto3.Bind{}
	case *pgproto3.Describe:
		again = &pgproto3.Describe{}
	case *pgproto3.Execute:
		again = &pgproto3.Execute{}
	case *pgproto3.Close:
		again = &pgproto3.Close{}
	default:
		return m
	}
	if err := again.Decode(append([]byte{}, text[5:]...)); err != nil {
		panic(err)
	}
	return again
}
