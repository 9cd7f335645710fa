package pg

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// transaction is a transaction of ours, on one server: what it reads proves that. Poolers spread statements
// over servers, and what is decided by a standby's answers must not be written on the primary.
type transaction struct {
	conn      *pgx.Conn
	decides   bool   // what it reads decides what is written, or it writes: no standby may answer
	server    server // that has answered so far; zero before the first
	savepoint int    // 0: the transaction itself; else the number of the savepoint
	closed    bool
}

// begin opens a transaction and looks at what it was opened on. It does not ask for more than a plain BEGIN
// gets: a server that accepts no writes has a reason.
func begin(ctx context.Context, conn *pgx.Conn, s TxSettings) (*transaction, error) {
	t := &transaction{conn: conn, decides: !s.ReadOnly || s.Primary}
	results, err := conn.PgConn().Exec(ctx, s.begin()).ReadAll()
	if err != nil {
		Rollback(ctx, t) // a pooler or the server may have got as far as BEGIN
		return nil, fmt.Errorf("beginning a transaction: %w", err)
	}
	if err := t.admit(ctx, s, results); err != nil {
		Rollback(ctx, t)
		return nil, err
	}
	return t, nil
}

// admit judges the answers to TxSettings.begin.
func (t *transaction) admit(ctx context.Context, s TxSettings, results []*pgconn.Result) error {
	var answers [][][]byte // the first row of each statement that has one
	for _, r := range results {
		if len(r.Rows) > 0 {
			answers = append(answers, r.Rows[0])
		}
	}
	if len(answers) < 2 {
		return errors.New("beginning a transaction: the server did not say whether it accepts writes")
	}
	readOnly, recovery := string(answers[0][0]) == "on", string(answers[1][0]) == "on"
	if recovery && t.decides {
		return &StandbyError{}
	}
	if readOnly && !recovery && !s.ReadOnly {
		return t.frozen(ctx)
	}
	if len(answers) > 2 {
		return t.proves(answers[2][0], answers[2][1], answers[2][2])
	}
	return nil
}

// frozen returns the error of a server that is no standby and accepts no writes.
func (t *transaction) frozen(ctx context.Context) error {
	f, err := ReadFreeze(ctx, t)
	if err != nil {
		return err
	}
	if f == nil {
		f = &Freeze{} // it was lifted meanwhile
	}
	return &FrozenError{Freeze: *f}
}

// Conn returns the connection.
func (t *transaction) Conn() *pgx.Conn { return t.conn }

// Begin sets a savepoint.
func (t *transaction) Begin(ctx context.Context) (pgx.Tx, error) {
	inner := &transaction{conn: t.conn, decides: t.decides, server: t.server, savepoint: t.savepoint + 1}
	if _, err := t.conn.Exec(ctx, "savepoint "+inner.name()); err != nil {
		return nil, err
	}
	return inner, nil
}

func (t *transaction) name() string { return fmt.Sprintf("inner%d", t.savepoint) }

// Commit commits the transaction, or releases the savepoint.
func (t *transaction) Commit(ctx context.Context) error {
	if t.closed {
		return pgx.ErrTxClosed
	}
	t.closed = true
	if t.savepoint > 0 {
		_, err := t.conn.Exec(ctx, "release savepoint "+t.name())
		return err
	}
	tag, err := t.conn.Exec(ctx, "commit")
	if err != nil {
		t.abandon(ctx)
		return err
	}
	if tag.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback
	}
	return nil
}

// Rollback takes the transaction back, or what was done since the savepoint.
func (t *transaction) Rollback(ctx context.Context) error {
	if t.closed {
		return pgx.ErrTxClosed
	}
	t.closed = true
	sql := "rollback"
	if t.savepoint > 0 {
		sql = "rollback to savepoint " + t.name()
	}
	_, err := t.conn.Exec(ctx, sql)
	if err != nil {
		t.abandon(ctx)
	}
	return err
}

// abandon gives up a connection that may still be in the transaction.
func (t *transaction) abandon(ctx context.Context) {
	if t.savepoint == 0 && t.conn.PgConn().TxStatus() != 'I' {
		ctx, cancel := context.WithCancel(ctx)
		cancel() // there is nobody to say farewell to
		_ = t.conn.Close(ctx)
	}
}

// errUnproven: a way to run a statement by which it could not prove its server.
var errUnproven = errors.New("only Query, QueryRow and Exec are for our transactions: their statements prove which server answers")

// CopyFrom is not for our transactions.
func (t *transaction) CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error) {
	return 0, errUnproven
}

// Prepare is not for our transactions, nor for connections behind a pooler.
func (t *transaction) Prepare(context.Context, string, string) (*pgconn.StatementDescription, error) {
	return nil, errUnproven
}

// SendBatch is not for our transactions.
func (t *transaction) SendBatch(context.Context, *pgx.Batch) pgx.BatchResults {
	return unprovenBatch{}
}

// LargeObjects is not for our transactions.
func (t *transaction) LargeObjects() pgx.LargeObjects { panic(errUnproven) }

type unprovenBatch struct{}

func (unprovenBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, errUnproven }
func (unprovenBatch) Query() (pgx.Rows, error)         { return nil, errUnproven }
func (unprovenBatch) QueryRow() pgx.Row                { return &provenRow{err: errUnproven} }
func (unprovenBatch) Close() error                     { return errUnproven }
func (unprovenBatch) Tx() pgx.Tx                       { return nil }
