package rollup_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// memory reads what the agent remembers.
func (a *agent) memory() ledger.Memory {
	a.t.Helper()
	var m ledger.Memory
	files, err := filepath.Glob(filepath.Join(a.opts.StateDir, "*.json"))
	if err != nil {
		a.t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, ".backfill.json") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			a.t.Fatal(err)
		}
		if err := json.Unmarshal(b, &m); err != nil {
			a.t.Fatal(err)
		}
	}
	return m
}

// owes demands that exactly these kinds of debts are outstanding.
func (a *agent) owes(want ...ledger.Kind) {
	a.t.Helper()
	var have []ledger.Kind
	for _, d := range a.memory().Deferred {
		have = append(have, d.Kind)
	}
	if len(have) != len(want) {
		a.t.Fatalf("owed: %v, want %v", have, want)
	}
	for i := range want {
		if have[i] != want[i] {
			a.t.Fatalf("owed: %v, want %v", have, want)
		}
	}
}

// atOnce makes the horizon the present, and open transactions a debt at once.
func (a *agent) atOnce() *agent {
	a.opts.HorizonDelay, a.opts.Walk.HorizonHold = time.Nanosecond, 0
	return a
}

// open begins a transaction on a connection of its own and returns its start.
func open(t testing.TB, db *labtest.DB) (pgx.Tx, time.Time) {
	t.Helper()
	tx, err := db.Connect(t).Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var started time.Time
	if err := tx.QueryRow(context.Background(), "select now()").Scan(&started); err != nil {
		t.Fatal(err)
	}
	return tx, started
}

// writeUsage corrects usage rows and adds one, all with the transaction's start as their time.
func writeUsage(t testing.TB, q interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
}) {
	t.Helper()
	for _, sql := range []string{
		"update task_usage set input_tokens = input_tokens + 1000, updated_at = now() where id in (select id from task_usage order by id limit 5)",
		"insert into task_usage (id, task_id, provider, model, input_tokens, created_at, updated_at) select gen_random_uuid(), id, 'late', 'm', 7, now(), now() from agent_task_queue order by id limit 1",
	} {
		if _, err := q.Exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnOpenTransactionThatWritesHoldsTheHorizonBack(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, lab.Typical(2, 300))
			tx, started := open(t, db)
			a := newAgent(t, db, engine)
			a.opts.HorizonDelay = time.Nanosecond
			writeUsage(t, tx)
			st := a.run()
			if st.Outcome != report.Current || !st.Watermark.Equal(started) || st.Held == "" {
				t.Fatalf("outcome %q, watermark %s, held %q; want current, %s and a reason", st.Outcome, st.Watermark, st.Held, started)
			}
			if err := tx.Commit(context.Background()); err != nil {
				t.Fatal(err)
			}
			a.run()
			exact(t, db.Conn)
			a.owes()
		})
	}
}

func TestATransactionThatOutlivesTheHoldIsOwedUntilItEnds(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, lab.Typical(3, 300))
			tx, started := open(t, db)
			a := newAgent(t, db, engine).atOnce()
			if st := a.run(); !st.Watermark.After(started) {
				t.Fatalf("the watermark %s did not pass the transaction of %s", st.Watermark, started)
			}
			a.owes(ledger.OpenTransaction)
			writeUsage(t, tx)
			a.run()
			a.owes(ledger.OpenTransaction)
			if err := tx.Commit(context.Background()); err != nil {
				t.Fatal(err)
			}
			a.run()
			exact(t, db.Conn)
			a.owes()
		})
	}
}

func TestAPreparedTransactionIsOwedUntilItEnds(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, lab.Typical(4, 300))
			a := newAgent(t, db, engine).atOnce()
			a.run()
			tx, _ := open(t, db)
			writeUsage(t, tx)
			if _, err := tx.Exec(context.Background(), "prepare transaction 'half'"); err != nil {
				t.Fatal(err)
			}
			st := a.run()
			a.owes(ledger.PreparedTransaction)
			if now := get[time.Time](t, db.Conn, "select now()"); now.Sub(st.Watermark) > time.Minute {
				t.Fatalf("the watermark %s stands still", st.Watermark)
			}
			exec(t, db.Conn, "commit prepared 'half'")
			a.run()
			exact(t, db.Conn)
			a.owes()
		})
	}
}

func TestAnOpenTransactionThatIsPreparedStaysOwed(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(5, 300))
	a := newAgent(t, db, "set").atOnce()
	tx, _ := open(t, db)
	a.run()
	a.owes(ledger.OpenTransaction)
	writeUsage(t, tx)
	if _, err := tx.Exec(context.Background(), "prepare transaction 'half'"); err != nil {
		t.Fatal(err)
	}
	a.run()
	a.owes(ledger.OpenTransaction, ledger.PreparedTransaction)
	exec(t, db.Conn, "commit prepared 'half'")
	a.run()
	exact(t, db.Conn)
	a.owes()
}

func TestWritersHiddenFromOurRoleAreOwed(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(6, 300))
	exec(t, db.Conn, "create role modest login")
	t.Cleanup(func() {
		exec(t, db.Conn, "drop owned by modest")
		exec(t, db.Conn, "drop role modest")
	})
	exec(t, db.Conn, "grant select, insert, update, delete on all tables in schema public to modest")
	a := newAgent(t, db, "set").atOnce()
	a.as("modest")
	a.run()
	tx, _ := open(t, db)
	writeUsage(t, tx)
	st := a.run()
	a.owes(ledger.HiddenTransaction)
	if len(st.Warnings) == 0 || !strings.Contains(st.Warnings[0], "pg_read_all_stats") {
		t.Errorf("warnings %q, want one that names pg_read_all_stats", st.Warnings)
	}
	if err := tx.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	a.run()
	exact(t, db.Conn)
	a.owes()
}
