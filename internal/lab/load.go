package lab

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed sql/load/*.sql
var loadFiles embed.FS

// LoadOptions say how Load behaves. The zero value is a modest installation.
type LoadOptions struct {
	Rate        float64 // operations per second over all connections; default 20
	Connections int     // default 4
	// LongTransaction, where positive, is for how long about one in two hundred operations keeps
	// its transaction open before it commits. At most two are open at a time, on top of Connections.
	LongTransaction time.Duration
	// DeleteAgents hard-deletes agents too. Their hourly rows stay, as the only record of what they
	// spent, and the oracle leaves these rows aside.
	DeleteAgents bool
	// Observe, where set, is told twice a second what has been done so far, never concurrently.
	Observe func(LoadStats)
}

// LoadStats counts what Load changed, by operation. Conflicts are operations that the database refused
// for a reason that a running app meets as well: deadlocks, lock timeouts, rows deleted meanwhile.
type LoadStats struct {
	Done      map[string]int64
	Conflicts int64
	Long      int64 // of those done, with a transaction kept open
}

// operation is one kind of thing that a running Multica does, with its weight among the others.
type operation struct {
	name   string
	weight int
	sql    string
}

// Load writes like a running Multica until ctx ends: usage, corrections, re-attributions, deletes,
// each in a transaction of its own. It returns what it did; an error only where it could not go on.
func Load(ctx context.Context, dsn string, o LoadOptions) (LoadStats, error) {
	if o.Rate == 0 {
		o.Rate = 20
	}
	if o.Connections == 0 {
		o.Connections = 4
	}
	ops, err := prepareLoad(ctx, dsn, o)
	if err != nil {
		return LoadStats{}, errUnlessEnded(ctx, err)
	}
	l := &loader{dsn: dsn, options: o, ops: ops, done: make(map[string]int64), long: make(chan struct{}, 2)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failures := make([]error, o.Connections)
	for i := range failures {
		l.running.Go(func() {
			if failures[i] = l.work(ctx); failures[i] != nil {
				cancel()
			}
		})
	}
	if o.Observe != nil {
		l.running.Go(func() { l.observe(ctx) })
	}
	l.running.Wait()
	return l.stats(), errors.Join(failures...)
}

// observe passes the counts on until ctx ends.
func (l *loader) observe(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.options.Observe(l.stats())
		}
	}
}

func (l *loader) stats() LoadStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LoadStats{Done: maps.Clone(l.done), Conflicts: l.conflicts, Long: l.longDone}
}

// prepareLoad makes sure that there is a workspace to work in and returns the operations that suit
// this database.
func prepareLoad(ctx context.Context, dsn string, o LoadOptions) ([]operation, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("connecting for the load: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	costs, err := hasCost(ctx, conn)
	if err != nil {
		return nil, err
	}
	var hourly, empty, bound bool
	err = conn.QueryRow(ctx, `SELECT to_regclass('task_usage_hourly') IS NOT NULL, NOT EXISTS (SELECT 1 FROM workspace),
		(SELECT attnotnull FROM pg_attribute WHERE attrelid = 'agent_task_queue'::regclass AND attname = 'runtime_id')`).Scan(&hourly, &empty, &bound)
	if err != nil {
		return nil, fmt.Errorf("looking at the database: %w", err)
	}
	var ops []operation
	for _, op := range []struct {
		name   string
		weight int
		wanted bool
	}{
		{"usage", 600, true}, {"correction", 130, true}, {"price", 100, costs}, {"maintenance", 2, true},
		{"move_runtime", 25, true}, {"move_issue", 25, true}, {"move_project", 10, true},
		{"delete_usage", 25, true}, {"delete_task", 20, true}, {"delete_issue", 5, true},
		{"new_runtime", 5, true}, {"delete_runtime", 4, !bound}, {"delete_runtime_before_251", 4, bound},
		{"new_agent", 5, o.DeleteAgents}, {"delete_agent", 4, o.DeleteAgents},
		{"new_workspace", 5, hourly}, {"teardown", 4, hourly},
	} {
		if !op.wanted {
			continue
		}
		sql, err := loadFiles.ReadFile("sql/load/" + op.name + ".sql")
		if err != nil {
			return nil, fmt.Errorf("reading embedded operation: %w", err)
		}
		ops = append(ops, operation{op.name, op.weight, string(sql)})
		if op.name == "new_workspace" && empty {
			if _, err := conn.Exec(ctx, string(sql)); err != nil {
				return nil, fmt.Errorf("making a first workspace: %w", err)
			}
		}
	}
	return ops, nil
}

// loader is one call of Load.
type loader struct {
	dsn     string
	options LoadOptions
	ops     []operation
	running sync.WaitGroup
	long    chan struct{} // holds a token for each long transaction

	mu        sync.Mutex
	done      map[string]int64
	conflicts int64
	longDone  int64
}

// work does operations on a connection of its own, evenly in time, until ctx ends.
func (l *loader) work(ctx context.Context) error {
	conn, err := connectAs(ctx, l.dsn, "multica-load")
	if err != nil {
		return errUnlessEnded(ctx, fmt.Errorf("connecting for the load: %w", err))
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tick := time.NewTicker(time.Duration(float64(l.options.Connections) / l.options.Rate * float64(time.Second)))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		op := l.choose()
		// The deletion of a workspace holds the roll-up's lock: no app keeps that open.
		if l.options.LongTransaction > 0 && op.name != "teardown" && rand.IntN(200) == 0 {
			l.goLong(ctx, op)
			continue
		}
		if err := l.do(ctx, conn, op, 0); err != nil {
			return errUnlessEnded(ctx, err)
		}
	}
}

// connectAs connects with a name that tells who it is to those who look at locks.
func connectAs(ctx context.Context, dsn, name string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = name
	return pgx.ConnectConfig(ctx, config)
}

// choose draws an operation by weight.
func (l *loader) choose() operation {
	total := 0
	for _, op := range l.ops {
		total += op.weight
	}
	n := rand.IntN(total)
	for _, op := range l.ops {
		if n -= op.weight; n < 0 {
			return op
		}
	}
	return l.ops[0]
}

// goLong does op in a transaction that stays open for a while, beside the worker; not at all where
// enough of them are open already.
func (l *loader) goLong(ctx context.Context, op operation) {
	select {
	case l.long <- struct{}{}:
	default:
		return
	}
	l.running.Go(func() {
		defer func() { <-l.long }()
		conn, err := connectAs(ctx, l.dsn, "multica-load/long")
		if err == nil {
			err = l.do(ctx, conn, op, l.options.LongTransaction)
			_ = conn.Close(context.WithoutCancel(ctx)) // its work is committed or lost already
		}
		if err != nil && ctx.Err() == nil {
			l.count(func() { l.conflicts++ })
		}
	})
}

// do runs one operation in a transaction and keeps it open for hold before it commits.
func (l *loader) do(ctx context.Context, conn *pgx.Conn, op operation, hold time.Duration) error {
	var changed int64
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, op.sql)
		if err != nil {
			return err
		}
		changed = tag.RowsAffected() // of the last statement, which is each operation's main one
		if hold == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err() // rolled back
		case <-time.After(hold):
		}
		return nil
	})
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && isConflict(pgErr.Code) {
		l.count(func() { l.conflicts++ })
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing as load, operation %s: %w", op.name, err)
	}
	if changed == 0 { // nothing there to correct, to move, to delete
		return nil
	}
	l.count(func() {
		l.done[op.name]++
		if hold > 0 {
			l.longDone++
		}
	})
	return nil
}

func (l *loader) count(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// isConflict tells refusals that concurrency explains from faults: foreign key and unique
// violations, serialization failures, deadlocks, lock timeouts.
func isConflict(sqlstate string) bool {
	switch sqlstate {
	case "23503", "23505", "40001", "40P01", "55P03":
		return true
	}
	return false
}

// errUnlessEnded drops the error of an operation that the end of ctx interrupted.
func errUnlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
