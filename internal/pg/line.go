package pg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Patience bounds how long a connection waits for an answer. Without it a
// server that was stopped, or a network that swallows packets, is waited for
// for ever: nothing closes such a connection.
type Patience struct {
	// Margin is what a statement in InTx gets beyond its statement_timeout, which
	// counts the wait for locks: time to cancel it and for the answer's way.
	Margin time.Duration
	// Outside is for statements outside of InTx, which the server does not bound.
	// They read by index, a few rows each.
	Outside time.Duration
	// WholeTable is for those among them that read task_usage from end to end: a
	// hundred million rows from a slow disk.
	WholeTable time.Duration
}

func defaultPatience() Patience {
	return Patience{Margin: 5 * time.Second, Outside: time.Minute, WholeTable: 10 * time.Minute}
}

// SilentError is a connection that was given up because no answer came. What
// became of the statement is not known.
type SilentError struct{ After time.Duration }

func (e *SilentError) Error() string {
	return fmt.Sprintf("the server has not answered for %s", e.After.Round(time.Millisecond))
}

// Timeout and Temporary make it a net.Error: the driver looks ahead for answers,
// keeps timeouts that it meets there, and forgets all other errors.
func (e *SilentError) Timeout() bool   { return true }
func (e *SilentError) Temporary() bool { return false }

// line is a connection's socket with a bound on silence: each read that waits
// longer than the bound for a byte fails, and so does each write.
type line struct {
	net.Conn
	patience Patience
	bound    atomic.Int64 // nanoseconds

	mu          sync.Mutex
	read, write time.Time    // deadlines that the driver set
	silent      *SilentError // once given up, it stays so
}

func newLine(conn net.Conn, p Patience) *line {
	l := &line{Conn: conn, patience: p}
	l.bound.Store(int64(p.Outside))
	return l
}

func (l *line) Read(b []byte) (int, error) {
	return l.bounded(&l.read, l.Conn.SetReadDeadline, func() (int, error) { return l.Conn.Read(b) })
}

func (l *line) Write(b []byte) (int, error) {
	return l.bounded(&l.write, l.Conn.SetWriteDeadline, func() (int, error) { return l.Conn.Write(b) })
}

func (l *line) bounded(theirs *time.Time, set func(time.Time) error, do func() (int, error)) (int, error) {
	began := time.Now()
	deadline := began.Add(time.Duration(l.bound.Load()))
	l.mu.Lock()
	if l.silent != nil {
		defer l.mu.Unlock()
		return 0, l.silent
	}
	ours := theirs.IsZero() || deadline.Before(*theirs)
	if ours {
		// A socket that refuses is closed, which the call itself tells.
		_ = set(deadline)
	}
	l.mu.Unlock()
	n, err := do()
	if err == nil {
		return n, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	expired := errors.Is(err, os.ErrDeadlineExceeded) && ours && (theirs.IsZero() || deadline.Before(*theirs))
	// The kernel, too, gives up peers that acknowledge nothing. What comes after
	// either belongs to a statement that nobody waits for any more.
	if expired || errors.Is(err, syscall.ETIMEDOUT) {
		l.silent = &SilentError{After: time.Since(began)}
		return n, l.silent
	}
	return n, err
}

// SetDeadline is what the driver cancels by.
func (l *line) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read, l.write = t, t
	return l.Conn.SetDeadline(t)
}

// SetReadDeadline is SetDeadline for reads.
func (l *line) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read = t
	return l.Conn.SetReadDeadline(t)
}

// SetWriteDeadline is SetDeadline for writes.
func (l *line) SetWriteDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write = t
	return l.Conn.SetWriteDeadline(t)
}

// lineOf returns the line below conn, nil where it was not made by a Connector.
func lineOf(conn *pgx.Conn) *line {
	socket := conn.PgConn().Conn()
	for {
		switch c := socket.(type) {
		case *line:
			return c
		case interface{ NetConn() net.Conn }: // TLS
			socket = c.NetConn()
		default:
			return nil
		}
	}
}

// ReadsWholeTable has statements on conn wait for an answer as those do that
// read a whole table, until the returned function is called.
func ReadsWholeTable(conn *pgx.Conn) (restore func()) {
	l := lineOf(conn)
	if l == nil {
		return func() {}
	}
	return l.wait(l.patience.WholeTable)
}

// waitFor is the same for a transaction with a statement_timeout.
func waitFor(conn *pgx.Conn, statementTimeout time.Duration) (restore func()) {
	l := lineOf(conn)
	if l == nil || statementTimeout <= 0 {
		return func() {}
	}
	return l.wait(statementTimeout + l.patience.Margin)
}

func (l *line) wait(d time.Duration) (restore func()) {
	before := l.bound.Swap(int64(d))
	return func() { l.bound.Store(before) }
}

// dial returns a function that opens sockets with a bound on silence.
func dial(dialer *net.Dialer, p *Patience) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newLine(conn, *p), nil
	}
}
