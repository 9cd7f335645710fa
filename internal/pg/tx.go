package pg

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// cleanupTimeout bounds a rollback or a farewell after the caller's context has ended.
const cleanupTimeout = 3 * time.Second

// TxSettings are the settings of one transaction. They are all SET LOCAL, so
// that nothing of them stays on a connection that a pooler hands to others.
type TxSettings struct {
	LockTimeout      time.Duration // longest wait for one lock; 0 means no limit
	StatementTimeout time.Duration // longest single statement; 0 means no limit
	RepeatableRead   bool          // one snapshot for the whole transaction
	ReadOnly         bool
	Primary          bool // what is read decides what is written, so that no standby may answer it
	AsyncCommit      bool // the commit may be lost by a server crash (never torn); only where the work is idempotent
	NoSeqScan        bool // keep the planner from reading whole tables where it has any other way
	NoClientCheck    bool // the server's platform cannot watch for a lost client
	// Filtered lets row-level security filter what is read. It is for tables of
	// others alone, such as pg_cron's, whose policies show each role its own rows.
	Filtered bool
	// Silence is how long the server waits for our next statement before it ends
	// the session, as where this process is stopped or cut off; 0 means LongSilence.
	Silence time.Duration
}

// Bounds on our silence within a transaction. With ShortSilence lock 4246 is free
// within a second of our last word. Who is slow himself, at writing the state
// file or at the other end of a long line, gets LongSilence: the deletion of a
// workspace, which waits for the lock, gives up after ten seconds.
const (
	ShortSilence = 750 * time.Millisecond
	LongSilence  = 5 * time.Second
)

// clientCheck is how often the server looks whether we are still there while a
// statement runs: a killed process lets go of lock 4246 within a second.
const clientCheck = 500 * time.Millisecond

// begin returns what opens the transaction, in one message: the answers say whether it may write,
// whether the server is in recovery, and, but for REPEATABLE READ, which server it is.
func (s TxSettings) begin() string {
	var b strings.Builder
	b.WriteString("begin")
	if s.RepeatableRead {
		b.WriteString(" isolation level repeatable read")
	} else {
		b.WriteString(" isolation level read committed")
	}
	// Nothing is said of writing: READ WRITE would override an administrator who has
	// switched it off, and READ ONLY has poolers choose a standby.
	b.WriteString("; show transaction_read_only; show in_hot_standby")
	if s.ReadOnly {
		b.WriteString("; set local transaction_read_only = on")
	}
	set := func(name string, d time.Duration) {
		fmt.Fprintf(&b, "; set local %s = %d", name, d.Milliseconds())
	}
	set("lock_timeout", s.LockTimeout)
	set("statement_timeout", s.StatementTimeout)
	set("idle_in_transaction_session_timeout", cmp.Or(s.Silence, LongSilence))
	if !s.NoClientCheck {
		set("client_connection_check_interval", clientCheck)
	}
	if !s.Filtered {
		// A policy that hides rows makes the statement fail instead: usage that is
		// not seen must not be rolled up as zero.
		b.WriteString("; set local row_security = off")
	}
	// Compiling these statements costs up to a second and never pays.
	b.WriteString("; set local jit = off")
	if s.AsyncCommit {
		b.WriteString("; set local synchronous_commit = off")
	}
	if s.NoSeqScan {
		b.WriteString("; set local enable_seqscan = off")
	}
	if !s.RepeatableRead { // whose snapshot would be taken here, before its lock
		b.WriteString(";\n" + statement("server"))
	}
	return b.String()
}

// InTx runs fn in one transaction with the given settings. It commits when fn
// returns nil and rolls back otherwise, also when ctx has ended meanwhile.
// The commit's own error is returned as a *CommitError: whether it took place
// is then not known. A statement that is not answered within its timeout and a
// margin ends the connection with a *SilentError.
//
// All of it is on one server, which each statement that reads proves: a *SplitError
// where it is not, a *StandbyError where what writes, or decides what is written, is
// on a standby, a *FrozenError where what writes may not.
func InTx(ctx context.Context, conn *pgx.Conn, s TxSettings, fn func(pgx.Tx) error) error {
	defer waitFor(conn, s.StatementTimeout)()
	tx, err := begin(ctx, conn, s)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		Rollback(ctx, tx)
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		Rollback(ctx, tx)
		return &CommitError{Err: err}
	}
	return nil
}

// AsyncCommit makes tx's commit one that a server crash may lose, as
// TxSettings.AsyncCommit does, where that turns out within the transaction only.
func AsyncCommit(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "set local synchronous_commit = off"); err != nil {
		return fmt.Errorf("setting synchronous_commit: %w", err)
	}
	return nil
}

// Rollback ends tx within a bounded time, whatever has become of ctx. Its error
// is of no use: the server rolls back what it loses.
func Rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	_ = tx.Rollback(ctx)
}

// Close says farewell to the server within a bounded time, whatever has become of ctx.
func Close(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	_ = conn.Close(ctx)
}

// CommitError is a COMMIT that returned an error: it may have taken place.
type CommitError struct{ Err error }

func (e *CommitError) Error() string { return "committing: " + e.Err.Error() }

// Unwrap returns what COMMIT returned.
func (e *CommitError) Unwrap() error { return e.Err }
