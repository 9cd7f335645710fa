package property_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// world is a database, those who write to it, and the agents beside it.
//
// A sequence has two eras. In the first the clock is simulated: events happen
// at the world's own time, which goes from some months ago to the present and
// likes the edges of hours, months and daylight saving, and the agents' horizon
// follows it. In the second it is the real clock, so that transactions can be
// left open and prepared.
type world struct {
	t        *testing.T
	rng      *rand.Rand
	gen      lab.Generation
	db       *labtest.DB
	conn     *pgx.Conn
	simulate bool
	now      time.Time // the simulated clock
	edges    []time.Time
	agents   []*agent
	open     []*pgx.Conn // each with a transaction left open
	prepared []string

	repeatable map[*pgx.Conn]bool // those of REPEATABLE READ
	names      int
	moving     bool          // a transaction left open has moved usage to other keys
	ours       bool          // nobody but agents with the set engine rolls up: what is moved by two at once is right, too
	moved      int           // how often others have moved the watermark
	staid      bool          // nothing is to be moved now
	restless   bool          // something is
	dsn        string        // of the agents
	trail      time.Duration // of the horizon, in the second era: some open transactions are younger than that

	// What only a recount, or a backfill of everything, mends.
	needsVerify, needsBackfill bool
}

// zones are session time zones that a bucket must not depend on.
var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "America/St_Johns"}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 4246)), simulate: true, repeatable: map[*pgx.Conn]bool{}}
	w.gen = pick(w.rng, []lab.Generation{lab.Gen102, lab.Gen213, lab.Gen272, lab.Gen272, lab.Gen272, lab.GenInterrupted})
	w.db = labtest.New(t, w.gen)
	zone := pick(w.rng, zones)
	w.exec(w.db.Conn, "alter database "+w.db.Name+" set timezone = '"+zone+"'")
	if w.chance(0.3) {
		w.exec(w.db.Conn, "alter database "+w.db.Name+" set datestyle = 'SQL, DMY'")
	}
	w.conn = w.connect()
	w.dsn = w.db.DSN
	w.ours = w.chance(0.4)
	w.trail = time.Microsecond
	if w.ours && w.chance(0.5) {
		w.trail = pick(w.rng, []time.Duration{60 * time.Millisecond, 2 * time.Second})
	}
	if w.chance(0.25) {
		w.demote()
	}
	w.now = time.Now().Add(-time.Duration(40+w.rng.IntN(60)) * 24 * time.Hour).Truncate(time.Microsecond)
	w.edges = edges(t, zone, w.now, time.Now())
	w.logf("seed %d, generation %s, zone %s, from %s, ours alone: %v, trail %s, as %s", seed, w.gen, zone, w.now.UTC(), w.ours, w.trail, w.dsn)
	for range 1 + w.rng.IntN(2) {
		w.addWorkspace(w.conn)
	}
	for range 5 + w.rng.IntN(40) {
		w.pass()
		w.write(w.conn)
	}
	for range 1 + w.rng.IntN(2) {
		a := newAgent(w)
		w.agents = append(w.agents, a)
		w.pass()
		a.run(w.meddle())
		w.skip()
	}
	return w
}

// demote has the agents log in as a role that sees no more than it must.
func (w *world) demote() {
	role := "modest_" + w.db.Name
	w.exec(w.conn, "create role "+role+" login")
	w.t.Cleanup(func() {
		w.exec(w.conn, "drop owned by "+role)
		w.exec(w.conn, "drop role "+role)
	})
	w.exec(w.conn, "grant select, insert, update, delete on all tables in schema public to "+role)
	u, err := url.Parse(w.dsn)
	if err != nil {
		w.t.Fatal(err)
	}
	u.User = url.User(role)
	w.dsn = u.String()
}

// edges are the instants where months begin and clocks change, in UTC and in the zone.
func edges(t *testing.T, zone string, from, to time.Time) []time.Time {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	var list []time.Time
	for h := from.Truncate(time.Hour).Add(time.Hour); h.Before(to.Add(-time.Hour)); h = h.Add(30 * time.Minute) {
		_, before := h.Add(-time.Second).In(loc).Zone()
		_, after := h.In(loc).Zone()
		if before != after || first(h.UTC()) || first(h.In(loc)) {
			list = append(list, h)
		}
	}
	return list
}

func first(t time.Time) bool { return t.Day() == 1 && t.Hour() == 0 && t.Minute() == 0 }

// pass lets time go by.
func (w *world) pass() {
	if !w.simulate {
		return
	}
	left := time.Until(w.now) * -1
	step := min(left/20, time.Duration(w.rng.Int64N(int64(40*time.Hour)))+time.Microsecond)
	next := w.now.Add(step).Truncate(time.Microsecond)
	switch w.rng.IntN(6) {
	case 0:
		next = w.now.Truncate(time.Hour).Add(time.Hour)
	case 1:
		next = w.now.Truncate(time.Hour).Add(time.Hour - time.Microsecond)
	case 2, 3:
		for _, e := range w.edges {
			if e.After(w.now) && e.Sub(w.now) < 10*24*time.Hour {
				next = e.Add(time.Duration(w.rng.IntN(3)-1) * time.Microsecond)
				break
			}
		}
	}
	if next.After(w.now) && next.Before(time.Now().Add(-2*time.Hour)) {
		w.now = next
	}
}

// skip lets at least so much time go by that no agent's horizon is beyond it.
func (w *world) skip() {
	if w.simulate {
		w.now = w.now.Add(time.Minute)
	}
}

// reachThePresent ends the era of the simulated clock.
func (w *world) reachThePresent() {
	w.logf("the present")
	w.simulate = false
}

// trails says whether the horizon trails the present.
func (w *world) trails() bool { return !w.simulate && w.trail > time.Microsecond }

// at is the time of what happens now: NULL for the database's own now().
func (w *world) at() *time.Time {
	if !w.simulate {
		return nil
	}
	return &w.now
}

// live lets so much happen.
func (w *world) live(n steps) {
	for range n {
		w.pass()
		switch p := w.rng.IntN(100); {
		case p < 45:
			w.happen()
			if len(w.open) > 0 && w.chance(0.4) {
				w.agent().run(w.meddle())
			}
		case p < 80:
			w.agent().run(w.meddle())
		default:
			w.agent().backfill(w.meddle())
		}
		w.skip()
	}
}

// meddle returns what others do while an agent works, called now and then between its slices.
func (w *world) meddle() func() {
	if w.chance(0.5) {
		return nil
	}
	left := 1 + w.rng.IntN(4)
	return func() {
		if left == 0 || w.chance(0.6) {
			return
		}
		left--
		w.skip()
		switch w.rng.IntN(4) {
		case 0:
			w.stamp()
		case 1:
			w.anothersTick()
		default:
			w.happen()
		}
	}
}

func (w *world) agent() *agent { return pick(w.rng, w.agents) }

// connect opens a session of a writer, which gives way instead of waiting for
// a transaction that this same test has open.
func (w *world) connect() *pgx.Conn {
	conn := w.db.Connect(w.t)
	w.exec(conn, "set lock_timeout = '40ms'")
	return conn
}

func (w *world) exec(q execer, sql string, args ...any) {
	w.t.Helper()
	if _, err := q.Exec(context.Background(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// try carries out a change that may lose to a transaction left open.
func (w *world) try(q execer, sql string, args ...any) bool {
	w.t.Helper()
	_, err := q.Exec(context.Background(), sql, args...)
	if err == nil && w.simulate { // the triggers go by the real clock
		_, err = q.Exec(context.Background(), "update task_usage_hourly_dirty set enqueued_at = $1 where enqueued_at > $1", w.now)
	}
	return w.survived(sql, err)
}

// survived says whether a change took place; it fails the test where it neither did nor gave way.
func (w *world) survived(what string, err error) bool {
	w.t.Helper()
	switch pg.SQLState(err) {
	case pg.StateLockNotAvailable, pg.StateDeadlockDetected, pg.StateSerializationFailure, "23503", "23505", "25P02", "57014":
		w.logf("  gave way: %v", err)
		return false
	}
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
	return true
}

func (w *world) logf(format string, args ...any) {
	w.t.Helper()
	clock := ""
	if w.simulate && !w.now.IsZero() {
		clock = w.now.UTC().Format("01-02T15:04:05.999999 ")
	}
	w.t.Log(clock + fmt.Sprintf(format, args...))
}

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

// uuid is an id that the seed decides, so that a replay chooses the same rows.
func (w *world) uuid() string {
	a, b := w.rng.Uint64(), w.rng.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0xfff, b&0xffffffffffff)
}

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

// execer is a connection or a transaction.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func get[T any](w *world, sql string, args ...any) T {
	w.t.Helper()
	var v T
	if err := w.conn.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return v
}
