package horizon_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/horizon"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

const (
	use  = "update task_usage set updated_at = now() where false"
	move = "update issue set project_id = null where false"
)

// between is a connection on which something happens just before its n-th statement, counted from 0.
type between struct {
	*pgx.Conn
	happens func(n int, sql string)
	n       int
}

func (b *between) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	b.happens(b.n, sql)
	b.n++
	return b.Conn.Query(ctx, sql, args...)
}

func (b *between) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	b.happens(b.n, sql)
	b.n++
	return b.Conn.QueryRow(ctx, sql, args...)
}

// open begins a transaction in a session of its own, in which the statements are executed.
func open(t *testing.T, db *labtest.DB, statements ...string) pgx.Tx {
	t.Helper()
	tx, err := db.Connect(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range append([]string{"select 1"}, statements...) {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return tx
}

func pid(tx pgx.Tx) int32 { return int32(tx.Conn().PgConn().PID()) }

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// modest is a connection of a role that may not see what other roles' sessions do.
func modest(t *testing.T, db *labtest.DB) *pgx.Conn {
	t.Helper()
	role := db.Name + "_modest" // roles are the whole server's, which tests of other packages may share
	exec(t, db.Conn, "create role "+role)
	t.Cleanup(func() {
		if _, err := db.Conn.Exec(context.Background(), "drop role "+role); err != nil {
			t.Error(err)
		}
	})
	conn := db.Connect(t)
	exec(t, conn, "set role "+role)
	return conn
}

func read(t *testing.T, q interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
}) horizon.Snapshot {
	t.Helper()
	s, err := horizon.Read(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestASnapshotHasWhatIsOpen(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	reader, user, mover := open(t, db), open(t, db, use), open(t, db, move)
	half := open(t, db, use)
	exec(t, half.Conn(), "prepare transaction 'half'")
	s := read(t, db.Connect(t))

	sessions := map[int32]horizon.Session{}
	for _, one := range s.Sessions {
		sessions[one.PID] = one
		if one.Unseen != horizon.Seen || one.Snapshot || one.Started.IsZero() || one.Started.After(s.Now) || one.BackendStart.IsZero() || one.Who == "" {
			t.Errorf("%+v, want one that is seen and began before %s", one, s.Now)
		}
	}
	for _, tx := range []pgx.Tx{reader, user, mover} {
		if _, ok := sessions[pid(tx)]; !ok {
			t.Errorf("pid %d is missing of %v", pid(tx), sessions)
		}
	}
	if len(sessions) != 3 {
		t.Errorf("%d sessions, want 3: those in a transaction, and not the one that reads: %v", len(sessions), sessions)
	}
	if got, want := doings(s), (map[int32]string{pid(reader): "", pid(user): "writes", pid(mover): "writes moves"}); !maps.Equal(got, want) {
		t.Errorf("open %v, want %v", got, want)
	}
	if len(s.Prepared) != 1 || s.Prepared[0].GID != "half" || s.Prepared[0].Prepared.After(s.Now) || s.Prepared[0].Owner == "" {
		t.Errorf("prepared %+v, want half", s.Prepared)
	}
	if s.Postmaster.IsZero() || !s.Postmaster.Before(s.Now) {
		t.Errorf("the server started at %s, and it is %s", s.Postmaster, s.Now)
	}
	exec(t, db.Conn, "rollback prepared 'half'")
}

// doings is what the locks tell of each session.
func doings(s horizon.Snapshot) map[int32]string {
	doing := map[int32]string{}
	for _, tx := range s.Open {
		var words []string
		if tx.Writes {
			words = append(words, "writes")
		}
		if tx.Moves {
			words = append(words, "moves")
		}
		doing[tx.PID] = strings.Join(words, " ")
	}
	return doing
}

func TestTransactionsThatAreHiddenAreReadWhateverTheyDo(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	conn := modest(t, db)
	reader, user, mover := open(t, db), open(t, db, use), open(t, db, move)
	s := read(t, conn)
	if got, want := doings(s), (map[int32]string{pid(reader): "", pid(user): "writes", pid(mover): "writes moves"}); !maps.Equal(got, want) {
		t.Errorf("open %v, want %v", got, want)
	}
	for _, one := range s.Sessions {
		if one.Unseen != horizon.HiddenFromRole || !one.Started.IsZero() || one.Snapshot {
			t.Errorf("%+v, want it hidden", one)
		}
	}
}

func TestATransactionOfASessionThatTracksNothingIsRead(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	idle := db.Connect(t)
	exec(t, idle, "set track_activities = off")
	off := open(t, db, "set track_activities = off", use)
	on := open(t, db, "set track_activities = off", "select 1", "set track_activities = on", "select 1")
	s := read(t, db.Connect(t))
	for _, one := range s.Sessions {
		if one.Unseen != horizon.Untracked || one.BackendStart.IsZero() || !one.Started.IsZero() {
			t.Errorf("%+v, want it untracked", one)
		}
	}
	if got, want := doings(s), (map[int32]string{pid(off): "writes", pid(on): ""}); !maps.Equal(got, want) {
		t.Errorf("open %v, want %v, and not the session without a transaction", got, want)
	}
}

// TestASnapshotThatIsKeptBetweenStatementsIsRead also for a role that may not see the session.
func TestASnapshotThatIsKeptBetweenStatementsIsRead(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	committed := open(t, db, "select from issue", move)
	none := open(t, db)
	exec(t, none.Conn(), "rollback; begin isolation level repeatable read")
	repeatable := open(t, db)
	exec(t, repeatable.Conn(), "rollback; begin isolation level repeatable read; select from issue")
	hidden := modest(t, db)
	for _, conn := range []*pgx.Conn{db.Connect(t), hidden} {
		for _, one := range read(t, conn).Sessions {
			switch one.PID {
			case pid(committed), pid(none), pid(repeatable):
				if want := one.PID == pid(repeatable); one.Snapshot != want {
					t.Errorf("%+v, want a snapshot: %t", one, want)
				}
			}
		}
	}
}

func TestAWriterToAPartitionIsRead(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	exec(t, db.Conn, "create table leaf () inherits (task_usage)")
	leaf, other := open(t, db, "update leaf set updated_at = now() where false"), open(t, db, "update agent set name = name where false")
	if got, want := doings(read(t, db.Connect(t))), (map[int32]string{pid(leaf): "writes", pid(other): ""}); !maps.Equal(got, want) {
		t.Errorf("open %v, want %v", got, want)
	}
}

// TestShortTransactionsOfABusyApplicationLeaveNoWindow has others end and begin between any two statements of the reading.
func TestShortTransactionsOfABusyApplicationLeaveNoWindow(t *testing.T) {
	for _, c := range []struct {
		name string
		conn func(*testing.T, *labtest.DB) *pgx.Conn
	}{
		{"hidden", modest},
		{"not hidden", func(t *testing.T, db *labtest.DB) *pgx.Conn { return db.Connect(t) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			conn := c.conn(t, db)
			var app []*pgx.Conn
			for range 6 {
				app = append(app, db.Connect(t))
			}
			work := func(int, string) {
				for i, a := range app {
					exec(t, a, "rollback; begin "+[]string{"", "isolation level repeatable read"}[i%2]+";"+[]string{use, move, "select from issue"}[i%3])
				}
			}
			work(0, "")
			s := read(t, &between{Conn: conn, happens: work})
			h := horizon.Decide(s, horizon.Rules{Since: s.Now.Add(-time.Hour), Delay: 5 * time.Minute, Hold: time.Hour})
			if len(s.Sessions) == 0 || len(h.Deferred) > 0 || h.Held != "" {
				t.Errorf("of %d sessions are deferred %+v, held by %q", len(s.Sessions), h.Deferred, h.Held)
			}
		})
	}
}

// TestATransactionThatIsBeingPreparedIsSeen: between any two statements of the reading it may change from one to the other.
func TestATransactionThatIsBeingPreparedIsSeen(t *testing.T) {
	for _, c := range []struct {
		name string
		conn func(*testing.T, *labtest.DB) *pgx.Conn
	}{
		{"hidden", modest},
		{"not hidden", func(t *testing.T, db *labtest.DB) *pgx.Conn { return db.Connect(t) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			conn := c.conn(t, db)
			for at, statements := 0, 1; at < statements; at++ {
				tx := open(t, db, move)
				b := &between{Conn: conn, happens: func(n int, _ string) {
					if n == at {
						exec(t, tx.Conn(), "prepare transaction 'half'")
					}
				}}
				s := read(t, b)
				statements = b.n
				seen := len(s.Prepared) > 0
				_, stillOpen := doings(s)[pid(tx)]
				seen = seen || stillOpen
				if !seen {
					t.Errorf("one that is prepared before statement %d of %d is nowhere in %+v", at, statements, s)
				}
				exec(t, db.Conn, "rollback prepared 'half'")
			}
		})
	}
}

func TestAWriterThatEndsWithinThePatienceIsNone(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	brief, lasting := open(t, db, move), open(t, db, move)
	var later pgx.Tx
	looks := 0
	s := read(t, &between{Conn: db.Connect(t), happens: func(_ int, sql string) {
		if !strings.Contains(sql, "pg_locks") {
			return
		}
		if looks++; looks == 2 {
			if err := brief.Commit(t.Context()); err != nil {
				t.Error(err)
			}
			later = open(t, db, move)
		}
	}})
	if looks < 2 || len(s.Open) != 1 || s.Open[0].PID != pid(lasting) {
		t.Errorf("after %d looks open %+v, want pid %d, not the brief %d or the later %d", looks, s.Open, pid(lasting), pid(brief), pid(later))
	}
}

// TestWhereAllIsSeenOneLookIsEnough for those that are only waited for, or passed.
func TestWhereAllIsSeenOneLookIsEnough(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	open(t, db)
	open(t, db, use)
	looks := 0
	read(t, &between{Conn: db.Connect(t), happens: func(_ int, sql string) {
		if strings.Contains(sql, "pg_locks") {
			looks++
		}
	}})
	if looks != 1 {
		t.Errorf("%d looks at the locks, want one", looks)
	}
}

func TestAQuietDatabaseIsNotAskedForWriters(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	var asked []string
	read(t, &between{Conn: db.Conn, happens: func(_ int, sql string) { asked = append(asked, sql) }})
	if len(asked) != 3 || strings.Contains(strings.Join(asked, "\n"), "pg_locks") {
		t.Errorf("asked %q, want the clock, sessions and prepared transactions", asked)
	}
}
