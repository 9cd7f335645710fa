// Package horizon finds out up to where the watermark may go. Rows carry the
// time at which their transaction began, so one that commits late appears
// behind the watermark: the horizon is held back for what is open, or passes it
// and defers its window. Read looks at the database, and Decide judges what was
// read: it is pure, and its table of tests is the specification.
package horizon

import (
	"context"
	"embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pause"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

//go:embed sql
var sqlFiles embed.FS

var statements = sqltext.Embedded(sqlFiles)

// Snapshot is what was open in the database, read part by part in the order of the fields.
type Snapshot struct {
	Now        time.Time // the database's clock
	Postmaster time.Time // start of its server: no transaction in a session is older
	Sessions   []Session // client sessions in a transaction, ours left out, and all that are hidden
	Writers    []Writer  // lasting writers to the source tables; not read where there are no sessions
	Prepared   []Prepared
}

// Session is a client session with an open transaction, or a hidden one, which may have one.
type Session struct {
	PID          int32
	BackendStart time.Time // zero where it is hidden
	Started      time.Time // of the transaction; zero where it is hidden
	Who          string    // application and role
	Hidden       bool      // our role may not see what it does
}

// Writer is a transaction in a session that holds a lock to write to one of the source tables.
type Writer struct {
	PID                int32
	VirtualTransaction string
	Moves              bool // it writes to tasks or issues, by which it may move usage to other keys
}

// Prepared is a prepared transaction. When it began is not recorded.
type Prepared struct {
	GID      string
	Prepared time.Time
	Owner    string
}

// Read looks at the database in statements of their own, each with a snapshot
// of its own, so in a READ COMMITTED transaction, and in an order that leaves
// no gap. The clock, whose statement has activity looked at anew, comes first, so that what starts later is later. Writers
// come after sessions: who begins to write later than that sees in its triggers
// all that was committed, and so all before the horizon. Prepared transactions
// come last: one that is being prepared, hidden or not, is in what was read
// before or in these.
func Read(ctx context.Context, q pg.Querier) (s Snapshot, err error) {
	if err = q.QueryRow(ctx, statements.Text("clock", nil)).Scan(&s.Now, &s.Postmaster, nil); err != nil {
		return s, fmt.Errorf("reading the database's clock: %w", err)
	}
	if s.Sessions, err = readSessions(ctx, q); err != nil {
		return s, fmt.Errorf("reading open transactions: %w", err)
	}
	if len(s.Sessions) > 0 {
		if s.Writers, err = readLastingWriters(ctx, q, s.concerns); err != nil {
			return s, fmt.Errorf("reading who writes to the source tables: %w", err)
		}
	}
	if s.Prepared, err = readPrepared(ctx, q); err != nil {
		return s, fmt.Errorf("reading prepared transactions: %w", err)
	}
	return s, nil
}

// concerns says whether a writer makes a difference: it is hidden, or may move
// usage. Who is in no session that was read began after the clock was.
func (s *Snapshot) concerns(w Writer) bool {
	for _, t := range s.Sessions {
		if t.PID == w.PID {
			return t.Hidden || w.Moves
		}
	}
	return false
}

func readSessions(ctx context.Context, q pg.Querier) ([]Session, error) {
	return collect(ctx, q, "activity", func(r pgx.CollectableRow) (s Session, err error) {
		var backendStart, started *time.Time
		err = r.Scan(&s.PID, &backendStart, &started, &s.Who, &s.Hidden)
		s.BackendStart, s.Started = orZero(backendStart), orZero(started)
		return s, err
	})
}

func readPrepared(ctx context.Context, q pg.Querier) ([]Prepared, error) {
	return collect(ctx, q, "prepared", func(r pgx.CollectableRow) (p Prepared, err error) {
		return p, r.Scan(&p.GID, &p.Prepared, &p.Owner)
	})
}

// A writer is looked at so many times within the patience that it is given to
// end by itself: the transactions of a busy application are over in milliseconds.
const (
	patience = 300 * time.Millisecond
	looks    = 4
)

// readLastingWriters returns those writers of concern that are there each time.
func readLastingWriters(ctx context.Context, q pg.Querier, concerns func(Writer) bool) (lasting []Writer, err error) {
	var before map[string]bool // their virtual transactions; nil at the first look
	for look := range looks {
		if look > 0 {
			if err := pause.For(ctx, patience/(looks-1)); err != nil {
				return nil, err
			}
		}
		now, err := collect(ctx, q, "writers", func(r pgx.CollectableRow) (w Writer, err error) {
			return w, r.Scan(&w.PID, &w.VirtualTransaction, &w.Moves)
		})
		if err != nil {
			return nil, err
		}
		lasting = nil
		still := map[string]bool{}
		for _, w := range now {
			if concerns(w) && (before == nil || before[w.VirtualTransaction]) {
				lasting = append(lasting, w)
				still[w.VirtualTransaction] = true
			}
		}
		if before = still; len(lasting) == 0 {
			break
		}
	}
	return lasting, nil
}

// collect returns the rows of a statement without arguments.
func collect[T any](ctx context.Context, q pg.Querier, name string, scan pgx.RowToFunc[T]) ([]T, error) {
	rows, err := q.Query(ctx, statements.Text(name, nil))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
