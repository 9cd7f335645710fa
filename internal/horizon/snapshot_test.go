package horizon_test

import (
	"context"
	"strings"
	"testing"

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
		if one.Hidden || one.Started.IsZero() || one.Started.After(s.Now) || one.BackendStart.IsZero() || one.Who == "" {
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
	if len(s.Writers) != 1 || s.Writers[0].PID != pid(mover) || !s.Writers[0].Moves || s.Writers[0].VirtualTransaction == "" {
		t.Errorf("writers %+v, want pid %d alone, which may move usage", s.Writers, pid(mover))
	}
	if len(s.Prepared) != 1 || s.Prepared[0].GID != "half" || s.Prepared[0].Prepared.After(s.Now) || s.Prepared[0].Owner == "" {
		t.Errorf("prepared %+v, want half", s.Prepared)
	}
	if s.Postmaster.IsZero() || !s.Postmaster.Before(s.Now) {
		t.Errorf("the server started at %s, and it is %s", s.Postmaster, s.Now)
	}
	exec(t, db.Conn, "rollback prepared 'half'")
}

func TestWritersThatAreHiddenAreReadWhateverTheyWrite(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	conn := modest(t, db)
	user, mover := open(t, db, use), open(t, db, move)
	s := read(t, conn)
	moves := map[int32]bool{}
	for _, w := range s.Writers {
		moves[w.PID] = w.Moves
	}
	if m, ok := moves[pid(user)]; !ok || m || !moves[pid(mover)] || len(moves) != 2 {
		t.Errorf("writers %+v, want pid %d, and pid %d which may move usage", s.Writers, pid(user), pid(mover))
	}
	for _, one := range s.Sessions {
		if !one.Hidden || !one.Started.IsZero() {
			t.Errorf("%+v, want it hidden", one)
		}
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
				for _, w := range s.Writers {
					seen = seen || w.PID == pid(tx)
				}
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
	if looks < 2 || len(s.Writers) != 1 || s.Writers[0].PID != pid(lasting) {
		t.Errorf("after %d looks writers %+v, want pid %d, not the brief %d or the later %d", looks, s.Writers, pid(lasting), pid(brief), pid(later))
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
