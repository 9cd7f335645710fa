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
	Now        time.Time     // the database's clock
	Postmaster time.Time     // start of its server: no transaction in a session is older
	Sessions   []Session     // client sessions that are in a transaction or may be, ours left out
	Open       []Transaction // those of these sessions that did not end while they were looked at
	Prepared   []Prepared
}

// Session is a client session with an open transaction, or one that may have one.
type Session struct {
	PID          int32
	BackendStart time.Time // zero where it is hidden
	Started      time.Time // of the transaction; zero where it is unseen
	Who          string    // application and role
	Unseen       Unseen
	// Snapshot says that it held one. Between the statements of a READ COMMITTED transaction it holds none.
	Snapshot bool
}

// Unseen says why the start of a session's transaction, should it have one, cannot be seen.
type Unseen string

// The reasons.
const (
	Seen           Unseen = ""
	HiddenFromRole Unseen = "hidden"    // our role may not see what it does
	Untracked      Unseen = "untracked" // it has track_activities off, or had when the transaction began
)

// Transaction is what the locks tell of an open transaction.
type Transaction struct {
	PID                int32
	VirtualTransaction string
	Writes             bool // it holds a lock to write to one of the source tables
	Moves              bool // to tasks or issues, by which it may move usage to other keys
}

// Prepared is a prepared transaction. When it began is not recorded.
type Prepared struct {
	GID      string
	Prepared time.Time
	Owner    string
}

// Read looks at the database in statements that each have a snapshot of their own, so in a READ COMMITTED transaction, and
// in an order that leaves no gap. The clock, whose statement has activity looked at anew, comes first, so that what starts
// later is later. Locks come after sessions: who
// begins to write later than that sees in its triggers all that was committed,
// and so all before the horizon. Prepared transactions come last: one that is
// being prepared, hidden or not, is in what was read before or in these.
func Read(ctx context.Context, q pg.Querier) (s Snapshot, err error) {
	if err = q.QueryRow(ctx, statements.Text("clock", nil)).Scan(&s.Now, &s.Postmaster, nil); err != nil {
		return s, fmt.Errorf("reading the database's clock: %w", err)
	}
	if s.Sessions, err = readSessions(ctx, q); err != nil {
		return s, fmt.Errorf("reading open transactions: %w", err)
	}
	if len(s.Sessions) > 0 {
		if s.Open, err = readLasting(ctx, q, s.Sessions); err != nil {
			return s, fmt.Errorf("reading who writes to the source tables: %w", err)
		}
	}
	if s.Prepared, err = readPrepared(ctx, q); err != nil {
		return s, fmt.Errorf("reading prepared transactions: %w", err)
	}
	return s, nil
}

func readSessions(ctx context.Context, q pg.Querier) ([]Session, error) {
	return collect(ctx, q, "activity", func(r pgx.CollectableRow) (s Session, err error) {
		var backendStart, started *time.Time
		err = r.Scan(&s.PID, &backendStart, &started, &s.Who, &s.Unseen, &s.Snapshot)
		s.BackendStart, s.Started = orZero(backendStart), orZero(started)
		return s, err
	})
}

func readPrepared(ctx context.Context, q pg.Querier) ([]Prepared, error) {
	return collect(ctx, q, "prepared", func(r pgx.CollectableRow) (p Prepared, err error) {
		return p, r.Scan(&p.GID, &p.Prepared, &p.Owner)
	})
}

// A transaction is looked at so many times within the patience that it is given to
// end by itself: those of a busy application are over in milliseconds.
const (
	patience = 300 * time.Millisecond
	looks    = 4
)

// readLasting returns the open transactions of sessions, those that end while
// they are looked at left out: all that they wrote and queued is there when the
// next slice is rolled up. It looks once, and again while one of those is left
// that would leave a window whatever its age.
func readLasting(ctx context.Context, q pg.Querier, sessions []Session) (lasting []Transaction, err error) {
	pids, doubtful := make([]int32, 0, len(sessions)), map[int32]bool{}
	for _, t := range sessions {
		pids = append(pids, t.PID)
		doubtful[t.PID] = t.Unseen != Seen || t.Snapshot
	}
	var before map[string]bool // their virtual transactions; nil at the first look
	for look := range looks {
		if look > 0 {
			if err := pause.For(ctx, patience/(looks-1)); err != nil {
				return nil, err
			}
		}
		now, err := collect(ctx, q, "transactions", func(r pgx.CollectableRow) (tx Transaction, err error) {
			return tx, r.Scan(&tx.PID, &tx.VirtualTransaction, &tx.Writes, &tx.Moves)
		}, pids)
		if err != nil {
			return nil, err
		}
		lasting = nil
		still, again := map[string]bool{}, false
		for _, tx := range now {
			if before == nil || before[tx.VirtualTransaction] {
				lasting = append(lasting, tx)
				still[tx.VirtualTransaction] = true
				again = again || tx.Moves || doubtful[tx.PID]
			}
		}
		if before = still; !again {
			break
		}
	}
	return lasting, nil
}

// collect returns the rows of a statement.
func collect[T any](ctx context.Context, q pg.Querier, name string, scan pgx.RowToFunc[T], args ...any) ([]T, error) {
	rows, err := q.Query(ctx, statements.Text(name, nil), args...)
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
