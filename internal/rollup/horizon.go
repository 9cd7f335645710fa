package rollup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pause"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// holdBefore103 is the longest that a transaction may hold the horizon back
// where migration 103 has still to pass. That refuses where the watermark trails
// the newest event by an hour, so an ordinary hold could fail it for our own
// sake. A prepared transaction holds for up to twice as long.
const holdBefore103 = 20 * time.Minute

// settle is how far by default the horizon trails the clock, as in Multica's own tick.
const settle = 5 * time.Minute

// Horizon is up to where the watermark may go, as read at one moment. It stays
// true ever after: who starts a transaction later writes later event times.
type Horizon struct {
	Now  time.Time         // the database's clock, read before anything else
	At   time.Time         // rows with events before it are committed, or owed by Owed
	Held string            // what holds it back; empty where nothing does
	Owed []ledger.Deferred // transactions it was not held back for: owed once the watermark passes From
	// Open are all transactions that were open, for finding out which debts fell due.
	Open []ledger.Deferred
	// Hidden counts the sessions whose transactions our role may not see.
	Hidden int
	// HiddenWriters are those among them that write to the source tables.
	HiddenWriters int
	// Moving says that a transaction may move usage to other keys, and that nothing is rolled up beside it.
	Moving bool
}

// activity is a row of activity.sql, prepared.sql or writers.sql.
type activity struct {
	pid                   int32
	backendStart, started *time.Time
	who                   string
	hidden                bool
}

// readHorizon reads the horizon in statements of their own, outside of any
// transaction (pg_stat_activity is cached within one), in an order that leaves
// no gap: the clock first, so that what starts later is later; prepared
// transactions after open ones, so that one being prepared is in either.
// since is the watermark, or where the doubt about it begins, from which on others' usage may have to be
// rolled up again when a transaction that moves usage ends; settle is how far the horizon trails the
// clock, hold the longest that one transaction may hold it back; negative means
// for ever (nowhere to remember a debt).
func readHorizon(ctx context.Context, q pg.Querier, since time.Time, settle, hold time.Duration) (*Horizon, error) {
	h := &Horizon{}
	var postmaster time.Time
	if err := q.QueryRow(ctx, "select clock_timestamp(), pg_postmaster_start_time()").Scan(&h.Now, &postmaster); err != nil {
		return nil, fmt.Errorf("reading the database's clock: %w", err)
	}
	h.At = h.Now.Add(-settle).Truncate(time.Microsecond) // what the database can store: the watermark has to be recognised as ours
	sessions, err := readSessions(ctx, q)
	if err != nil {
		return nil, err
	}
	movers, err := readMovers(ctx, q, sessions)
	if err != nil {
		return nil, err
	}
	moving, hidden := false, map[int32]bool{}
	for _, s := range sessions {
		if s.hidden {
			hidden[s.pid] = true
			continue
		}
		d := s.debt()
		age := h.Now.Sub(*s.started)
		at, held := d.From, hold < 0 || age <= hold
		if movers[s.pid] {
			d.Moves, d.From = true, earlier(d.From, since)
			if age > settle || hold < 0 {
				at = d.From
				moving = moving || held
			}
		}
		h.Open = append(h.Open, d)
		if held {
			if hold >= 0 { // one that moves usage may be followed by the next before it has ended
				at = later(at, h.Now.Add(-hold).Truncate(time.Microsecond))
			}
			h.hold(at, d.Description)
		}
		if d.Moves || !held {
			h.Owed = append(h.Owed, d)
		}
	}
	h.Hidden = len(hidden)
	prepared, err := h.readPrepared(ctx, q, since, hold)
	if err != nil {
		return nil, err
	}
	h.Moving = (moving || prepared) && !h.At.After(since)
	if len(hidden) > 0 {
		if err := h.readHiddenWriters(ctx, q, hidden, later(postmaster, since.Add(-max(hold, 0)))); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// debt is what a session's transaction is owed when it ends: the instant of its beginning, which its rows carry.
func (s activity) debt() ledger.Deferred {
	d := ledger.Deferred{
		Kind: ledger.OpenTransaction, From: *s.started, To: s.started.Add(time.Microsecond), Wrote: *s.started,
		PID: s.pid, Started: *s.started, Description: fmt.Sprintf("pid %d (%s), open since %s", s.pid, s.who, stamp(*s.started)),
	}
	if s.backendStart != nil {
		d.BackendStart = *s.backendStart
	}
	return d
}

// readMovers returns those of the sessions that may move usage to other keys:
// that write to tasks or issues, and go on doing so for a while. Usage that
// others commit after such a transaction's triggers have run is in no key that
// they queue. Beside one that is open for longer than the horizon trails the
// clock that may be any usage: nothing newer than since is rolled up while it is
// open, or all of it again when it has ended. Beside a shorter one it is usage of
// a transaction that was itself open for so long. That is rare, and short ones
// are always about: what is rolled up beside them is rolled up again. It comes
// after the sessions were read: who writes to the tables later than that sees in
// its triggers all that was committed, and so all before the horizon.
func readMovers(ctx context.Context, q pg.Querier, sessions []activity) (map[int32]bool, error) {
	known := map[int32]bool{}
	for _, s := range sessions {
		if !s.hidden {
			known[s.pid] = true
		}
	}
	if len(known) == 0 {
		return nil, nil
	}
	writers, err := lastingWriters(ctx, q, func(w writer) bool { return w.moves && known[w.pid] })
	if err != nil {
		return nil, err
	}
	movers := map[int32]bool{}
	for _, w := range writers {
		movers[w.pid] = true
	}
	return movers, nil
}

// hold takes the horizon back to t.
func (h *Horizon) hold(t time.Time, why string) {
	if t.Before(h.At) {
		h.At, h.Held = t, why
	}
}

func readSessions(ctx context.Context, q pg.Querier) ([]activity, error) {
	rows, err := q.Query(ctx, statement("activity", false))
	if err != nil {
		return nil, fmt.Errorf("reading open transactions: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (activity, error) {
		var s activity
		return s, r.Scan(&s.pid, &s.backendStart, &s.started, &s.who, &s.hidden)
	})
	if err != nil {
		return nil, fmt.Errorf("reading open transactions: %w", err)
	}
	return list, nil
}

// readPrepared adds prepared transactions. When they began is not recorded, so
// they may owe anything from the watermark, or a gap before it, to their
// preparation. It says whether one of them is held back for.
func (h *Horizon) readPrepared(ctx context.Context, q pg.Querier, since time.Time, hold time.Duration) (held bool, _ error) {
	rows, err := q.Query(ctx, statement("prepared", false))
	if err != nil {
		return false, fmt.Errorf("reading prepared transactions: %w", err)
	}
	var gid, owner string
	var prepared time.Time
	_, err = pgx.ForEachRow(rows, []any{&gid, &prepared, &owner}, func() error {
		d := ledger.Deferred{
			Kind: ledger.PreparedTransaction, From: since, To: prepared.Add(time.Microsecond), Wrote: since,
			GID: gid, Started: prepared, Moves: true,
			Description: fmt.Sprintf("prepared transaction %q of %s, since %s", gid, owner, stamp(prepared)),
		}
		h.Open = append(h.Open, d)
		if hold < 0 {
			h.hold(since, d.Description)
			held = true
			return nil
		}
		if h.Now.Sub(prepared) <= hold {
			h.hold(later(since, prepared.Add(-hold)), d.Description)
			held = true
		}
		h.Owed = append(h.Owed, d)
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("reading prepared transactions: %w", err)
	}
	return held, nil
}

// readHiddenWriters adds those sessions that write to the source tables and
// whose start our role may not see. They are unknown, not absent: what they
// may have begun since the given time is owed.
func (h *Horizon) readHiddenWriters(ctx context.Context, q pg.Querier, hidden map[int32]bool, since time.Time) error {
	writers, err := lastingWriters(ctx, q, func(w writer) bool { return hidden[w.pid] })
	if err != nil {
		return err
	}
	h.HiddenWriters = len(writers)
	for vxid, w := range writers {
		d := ledger.Deferred{
			Kind: ledger.HiddenWriter, From: since, To: h.Now, Wrote: since, PID: w.pid, VirtualTransaction: vxid, Moves: w.moves,
			Description: fmt.Sprintf("pid %d, whose start our role may not see", w.pid),
		}
		h.Open = append(h.Open, d)
		h.Owed = append(h.Owed, d)
	}
	return nil
}

// writer is a row of writers.sql.
type writer struct {
	pid   int32
	moves bool
}

// patience is how long a writer is given to end by itself: the transactions
// of a busy application are over in milliseconds.
const patience = 300 * time.Millisecond

// lastingWriters returns those of the writers of now that matter and are still open after the patience.
func lastingWriters(ctx context.Context, q pg.Querier, matters func(writer) bool) (writers map[string]writer, err error) {
	for try := range 4 {
		if try > 0 {
			if err := pause.For(ctx, patience/3); err != nil {
				return nil, err
			}
		}
		now, err := readWriters(ctx, q)
		if err != nil {
			return nil, err
		}
		for vxid, w := range now {
			if _, before := writers[vxid]; !matters(w) || (try > 0 && !before) {
				delete(now, vxid)
			}
		}
		if writers = now; len(writers) == 0 {
			break
		}
	}
	return writers, nil
}

// readWriters returns who writes to the source tables, by virtual transaction.
func readWriters(ctx context.Context, q pg.Querier) (map[string]writer, error) {
	rows, err := q.Query(ctx, statement("writers", false))
	if err != nil {
		return nil, fmt.Errorf("reading who writes to the source tables: %w", err)
	}
	writers := map[string]writer{}
	var w writer
	var vxid string
	if _, err = pgx.ForEachRow(rows, []any{&w.pid, &vxid, &w.moves}, func() error { writers[vxid] = w; return nil }); err != nil {
		return nil, fmt.Errorf("reading who writes to the source tables: %w", err)
	}
	return writers, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
