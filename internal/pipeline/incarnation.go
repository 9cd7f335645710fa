package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// ReadIncarnation reads which life of the database this is, and its clock. What our role may not read is left out.
func (p *Pipeline) ReadIncarnation(ctx context.Context, conn *pgx.Conn) (i ledger.Incarnation, now time.Time, err error) {
	var names []string
	var oids, files []uint32
	settings := p.Reads()
	settings.Primary = !p.Standby // a standby that a pooler leads to by now has another server's start, and is waited for
	err = pg.InTx(ctx, conn, settings, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, query("incarnation"), tables).Scan(&i.Database, &i.Server, &names, &oids, &files, &now)
	})
	if err != nil {
		return i, now, fmt.Errorf("reading which life of the database this is: %w", err)
	}
	i.System, i.Tables, i.Files = p.SystemIdentifier, map[string]uint32{}, map[string]uint32{}
	for n, name := range names {
		i.Tables[name], i.Files[name] = oids[n], files[n]
	}
	wal, err := p.ReadWAL(ctx, conn)
	i.Timeline, i.Flushed = wal.Timeline, wal.Flushed
	return i, now, err
}

// WAL is where the server's write-ahead log stands, in bytes; zero where our role may not read it, and on a standby.
type WAL struct {
	Timeline         string
	Flushed, Written uint64
	Now              time.Time // the database's clock
}

// ReadWAL reads where the write-ahead log stands, in a transaction of its own: a platform may not let every role ask.
func (p *Pipeline) ReadWAL(ctx context.Context, conn *pgx.Conn) (w WAL, err error) {
	var flushed, written int64
	err = pg.InTx(ctx, conn, p.Reads(), func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, query("wal")).Scan(&w.Timeline, &flushed, &written, &w.Now)
	})
	switch {
	case err == nil:
		w.Flushed, w.Written = uint64(flushed), uint64(written)
		return w, nil
	case pg.SQLState(err) == "":
		return WAL{}, fmt.Errorf("reading where the write-ahead log stands: %w", err)
	}
	return WAL{}, nil
}

// Recognition is what a database is to a memory.
type Recognition struct {
	Was       ledger.Incarnation // as it is remembered; zero where nothing is
	Now       ledger.Incarnation
	First     bool      // nothing is remembered of any
	Another   string    // why it is not the incarnation that is remembered; "" where it is
	Rewritten []string  // tables that were written anew
	At        time.Time // by the database's clock
}

// Recognise finds out whether what is remembered was learned in the life that the database is in.
func (p *Pipeline) Recognise(ctx context.Context, conn *pgx.Conn, m *ledger.Memory) (r Recognition, err error) {
	if r.Now, r.At, err = p.ReadIncarnation(ctx, conn); err != nil {
		return r, err
	}
	if m.Incarnation == nil {
		r.First = true
		return r, nil
	}
	r.Was = *m.Incarnation
	d := r.Was.Differs(r.Now)
	r.Another, r.Rewritten = d.Another, d.Rewritten
	if r.Another != "" || !d.Restarted {
		return r, nil
	}
	found, err := p.testimony(ctx, conn, m.Witnesses)
	if err != nil {
		return r, fmt.Errorf("looking for hourly rows that had been written: %w", err)
	}
	r.Another = ledger.HeardAfterRestart(m.Life, r.Now, found)
	return r, nil
}

// Recognised returns what the agent remembers of the life that the database is in: nothing, where what it
// remembers is of another, and then another says why.
func (p *Pipeline) Recognised(ctx context.Context, conn *pgx.Conn, m ledger.Memory) (is ledger.Memory, another string, err error) {
	if m.Incarnation == nil || p.Standby { // whose own start and log say nothing of its primary
		return m, "", nil
	}
	found, err := p.Recognise(ctx, conn, &m)
	switch {
	case err != nil:
		return m, "", err
	case found.Another != "":
		return ledger.Memory{Run: m.Run}, found.Another, nil
	case len(found.Rewritten) > 0:
		m.Proven = nil // as the next run will find
	}
	return m, "", nil
}

// patience is how long a table that somebody has locked is waited for.
const patience = 10 * time.Second

// testimony finds out what became of the witnesses.
func (p *Pipeline) testimony(ctx context.Context, conn *pgx.Conn, witnesses []ledger.Witness) (found []ledger.Testimony, err error) {
	n := len(witnesses)
	hours, workspaces, runtimes, agents := make([]time.Time, n), make([]string, n), make([]string, n), make([]string, n)
	projects, providers, models := make([]*string, n), make([]string, n), make([]string, n)
	for i, w := range witnesses {
		k := w.Key
		hours[i], workspaces[i], runtimes[i], agents[i] = k.Hour, k.Workspace, k.Runtime, k.Agent
		projects[i], providers[i], models[i] = k.Project, k.Provider, k.Model
	}
	settings := p.Reads()
	settings.LockTimeout = patience
	err = pg.InTx(ctx, conn, settings, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, query("testimony"), hours, workspaces, runtimes, agents, projects, providers, models)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ledger.Testimony])
		return err
	})
	return found, err
}
