package rollup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pause"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/session"
)

// conflictTries bounds how often one step is repeated after losing to a concurrent transaction.
const conflictTries = 20

// database runs whole transactions on a connection that is replaced when it is lost.
type database struct {
	connector *pg.Connector
	session   *session.Session
	walk      config.Walk
	log       *slog.Logger
}

// pipe is what was found in the database when it was opened, nil before that.
func (d *database) pipe() *pipeline.Pipeline { return d.session.Pipeline() }

// do runs one step on a live connection. It repeats the step after a lost
// connection, as the session does, and after a serialization failure or
// deadlock; so steps must be whole transactions, or reads.
func (d *database) do(ctx context.Context, step func(*pgx.Conn) error) error {
	return d.repeat(ctx, step, func(err error) bool { return conflicting(err) || isDuplicate(err) })
}

// repeat repeats a step, up to conflictTries times, after an error that is of a conflict.
func (d *database) repeat(ctx context.Context, step func(*pgx.Conn) error, conflict func(error) bool) error {
	for conflicts := 0; ; conflicts++ {
		err := d.session.Do(ctx, step)
		if ctx.Err() != nil || !conflict(err) || conflicts == conflictTries {
			return err
		}
		if err := d.afterConflict(ctx, err); err != nil {
			return err
		}
	}
}

// afterConflict pauses, so that two that lost to each other do not meet again.
func (d *database) afterConflict(ctx context.Context, err error) error {
	d.log.Debug("lost a conflict, trying again", journal.SliceRetried.Attr(), journal.Reason(d.connector.Redact(err.Error())))
	return pause.For(ctx, time.Duration(10+rand.IntN(90))*time.Millisecond)
}

// conflicting says whether others changed the same rows, or took the lock, first.
func conflicting(err error) bool {
	return pg.Contended(err) && pg.SQLState(err) != pg.StateLockNotAvailable
}

// isDuplicate says whether another inserted a row of the same key first.
func isDuplicate(err error) bool { return pg.SQLState(err) == pg.StateUniqueViolation }

// read runs fn in a read-only transaction on the primary, where a policy that
// would hide rows is an error: what is planned by rows unseen would be lost.
func (d *database) read(ctx context.Context, fn func(pgx.Tx) error) error {
	settings := d.pipe().Reads()
	settings.Primary = true
	return d.do(ctx, func(conn *pgx.Conn) error {
		return pg.InTx(ctx, conn, settings, fn)
	})
}

// state reads the state row.
func (d *database) state(ctx context.Context) (row pipeline.StateRow, err error) {
	err = d.read(ctx, func(tx pgx.Tx) (err error) {
		row, err = pipeline.ReadState(ctx, tx, d.pipe().Database)
		return err
	})
	return row, err
}

// settings are those of every transaction that writes; a slice's has besides what its engine wants.
func (d *database) settings() pg.TxSettings {
	return pg.TxSettings{
		LockTimeout: d.walk.LockTimeout, StatementTimeout: d.walk.StatementTimeout,
		NoClientCheck: !d.pipe().ClientCheck, Silence: d.session.Silence(),
	}
}

// write runs fn in a transaction that takes no lock.
func (d *database) write(ctx context.Context, fn func(pgx.Tx) error) error {
	return d.do(ctx, func(conn *pgx.Conn) error { return pg.InTx(ctx, conn, d.settings(), fn) })
}

// locked runs fn in a transaction that holds lock 4246, and returns for how long it did. At its end it looks
// again at whether anything of this database may be written: what was changed before fn had its locks is seen then.
// A conflict is left to lockWait, which knows for how long to try. The settings are made anew for each try, since a
// lost connection changes them; adjust adds what this transaction needs.
func (d *database) locked(ctx context.Context, adjust func(pg.TxSettings) pg.TxSettings, fn func(pgx.Tx) error) (held time.Duration, err error) {
	err = d.repeat(ctx, func(conn *pgx.Conn) (err error) {
		held, err = pg.InLockedTx(ctx, conn, adjust(d.settings()), func(tx pgx.Tx) error {
			if err := fn(tx); err != nil {
				return err
			}
			return d.pipe().Recheck(ctx, tx)
		})
		return err
	}, isDuplicate)
	return held, err
}

// holders names who holds lock 4246; "" where nobody does, or cannot be named.
func (d *database) holders(ctx context.Context) string {
	var names []string
	err := d.read(ctx, func(tx pgx.Tx) error {
		sessions, err := pg.LockSessions(ctx, tx)
		names = nil
		for _, s := range sessions {
			if s.Granted {
				names = append(names, s.String())
			}
		}
		return err
	})
	if err != nil { // the refusal that they are asked for stands all the same
		d.log.Debug("cannot tell who holds lock 4246", journal.Reason(d.connector.Redact(err.Error())))
	}
	return strings.Join(names, ", ")
}

// explain words an error for the user; nil stays nil, and so does who was waited for in vain.
func (d *database) explain(err error) error {
	if _, busy := errors.AsType[*BusyError](err); err == nil || busy {
		return err
	}
	return d.connector.Explain(err)
}

// span is the extent of raw usage; its times are zero where there is none.
type span struct {
	oldest, newest time.Time // events
	created        time.Time // the oldest creation
}

func readSpan(ctx context.Context, q pg.Querier) (s span, err error) {
	var oldest, newest, created *time.Time
	if err = q.QueryRow(ctx, statement("span")).Scan(&oldest, &newest, &created); err != nil {
		return s, fmt.Errorf("reading the span of raw usage: %w", err)
	}
	if oldest != nil && newest != nil && created != nil {
		s = span{*oldest, *newest, *created}
	}
	return s, nil
}
