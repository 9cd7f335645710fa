package pg

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

func TestWhatReadsIsToldFromWhatWrites(t *testing.T) {
	for sql, want := range map[string]bool{
		"select 1": true,
		"-- insert into t\n  SELECT 'delete from t', \"update\" from t": true,
		"/* a comment */ with a as (select 1) select * from a":          true,
		"select * from t for update skip locked":                        true,
		"select * from t for no key update":                             true,
		"values (1)":                                                    true,
		"select has_table_privilege('t', 'update')":                     true,
		"select deleted, updated_at, insert_count from t":               true,
		"with a as (delete from t returning 1) select count(*) from a":  false,
		"with a as (select 1) update t set x = 1":                       false,
		"with a as (select 1) insert into t select * from a":            false,
		"with a as (select 1 for update) merge into t using a on true":  false,
		"update t set x = 1 returning x":                                false,
		"set local work_mem = '32MB'":                                   false,
		"explain select 1":                                              false,
		"savepoint s":                                                   false,
		"":                                                              false,
	} {
		if reads(sql) != want {
			t.Errorf("%q reads: %v", sql, !want)
		}
	}
}

// writing are the statements of this program that prove their server by writing.
var writing = []string{
	"drain.sql", "drop_kept.sql", "history.sql", "history_empty.sql", // of the engines, and slice.sql by a part of it
	"state_advance.sql", "state_error.sql", "state_back.sql", "state_rewind.sql", "enqueue.sql", "engine_spoil.sql",
	"rights.sql", "settings.sql", // which return nothing
}

// TestEveryStatementProvesItsServer names those that do it by writing or return nothing, so that none leaves it out unseen.
func TestEveryStatementProvesItsServer(t *testing.T) {
	var found []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "lab" || d.Name() == "bench" || d.Name() == "part") {
			return skip(err, d)
		}
		if filepath.Ext(path) != ".sql" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !reads(string(text)) {
			found = append(found, d.Name())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	want := slices.Sorted(slices.Values(writing))
	if !slices.Equal(found, want) {
		t.Errorf("these do not prove their server: %s; expected are %s", strings.Join(found, " "), strings.Join(want, " "))
	}
}

func skip(err error, d fs.DirEntry) error {
	if err == nil && d.IsDir() {
		return fs.SkipDir
	}
	return err
}

// TestAnAnswerIsTheStatementsOwn: its columns, rows, order and errors, by each of the driver's ways to read them.
func TestAnAnswerIsTheStatementsOwn(t *testing.T) {
	db := labtest.New(t, "272")
	ctx := t.Context()
	err := InTx(ctx, db.Conn, TxSettings{Primary: true}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "select n, 'x' as same, null::int as same from generate_series(1, $1) n order by n desc", 3)
		if err != nil {
			return err
		}
		if n := len(rows.FieldDescriptions()); n != 3 {
			t.Errorf("%d columns, want 3", n)
		}
		type row struct {
			N    int
			Same string
			Null *int
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		if err != nil {
			return err
		}
		if len(list) != 3 || list[0].N != 3 || list[2].N != 1 || list[1].Same != "x" || list[1].Null != nil {
			t.Errorf("rows %v", list)
		}
		if rows, err = tx.Query(ctx, "select 1 where false"); err != nil {
			return err
		}
		if none, err := pgx.CollectRows(rows, pgx.RowTo[int]); err != nil || len(none) != 0 {
			t.Errorf("rows %v, error %v; want none", none, err)
		}
		var n *int
		if err := tx.QueryRow(ctx, "select 1 where false").Scan(&n); err != pgx.ErrNoRows {
			t.Errorf("error %v, want %v", err, pgx.ErrNoRows)
		}
		if err := tx.QueryRow(ctx, "select null::int").Scan(&n); err != nil || n != nil {
			t.Errorf("a row of NULL: %v, %v", n, err)
		}
		if err := Lock(ctx, tx); err != nil {
			return err
		}
		inner, err := tx.Begin(ctx)
		if err != nil {
			return err
		}
		if _, err := inner.Exec(ctx, "update task_usage_hourly_rollup_state set last_run_rows = 77"); err != nil {
			return err
		}
		if err := inner.Rollback(ctx); err != nil {
			return err
		}
		var at time.Time
		return tx.QueryRow(ctx, "select watermark_at from task_usage_hourly_rollup_state where last_run_rows = 0").Scan(&at)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTwoServersInOneTransactionAreRefused(t *testing.T) {
	primary, standby, restarted := [3]string{"false", "7", "100"}, [3]string{"true", "7", "100"}, [3]string{"false", "7", "200"}
	for _, c := range []struct {
		name    string
		decides bool
		answers [][3]string
		want    string
	}{
		{"one primary", true, [][3]string{primary, primary}, ""},
		{"one standby that is only looked at", false, [][3]string{standby, standby}, ""},
		{"a standby where something is decided", true, [][3]string{standby}, "the server is a read-only standby"},
		{"a primary and a standby", false, [][3]string{primary, standby}, "one transaction was answered by two servers"},
		{"a promotion in the middle", false, [][3]string{standby, primary}, "one transaction was answered by two servers"},
		{"two primaries", true, [][3]string{primary, restarted}, "one transaction was answered by two servers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tx := &transaction{decides: c.decides}
			said := ""
			for _, a := range c.answers {
				if err := tx.proves([]byte(a[0]), []byte(a[1]), []byte(a[2])); err != nil {
					said = err.Error()
				}
			}
			if !strings.HasPrefix(said, c.want) || c.want == "" && said != "" {
				t.Errorf("it says %q, want %q", said, c.want)
			}
		})
	}
}

func TestAFreezeIsLiftedWhereItWasSet(t *testing.T) {
	for _, c := range []struct {
		freeze     Freeze
		says, hint string
	}{
		{Freeze{Source: "database", Database: "Multica"}, `is on for database "Multica"`, `begin read write; alter database "Multica" reset default_transaction_read_only; commit; -- in psql`},
		{Freeze{Source: "user", Role: "app"}, "is on for role app", "begin read write; alter role app reset default_transaction_read_only; commit; -- in psql"},
		{Freeze{Source: "database user", Role: "app", Database: "m"}, "is on for role app in database m", "alter role app in database m reset"},
		{Freeze{Source: "global"}, "is on for all roles", "alter role all reset"},
		{Freeze{Source: "configuration file", File: "/data/postgresql.auto.conf", Line: 3}, "configuration (/data/postgresql.auto.conf, line 3)", "alter system reset default_transaction_read_only; select pg_reload_conf(); -- in psql"},
		{Freeze{Source: "configuration file", File: "/etc/postgresql.conf", Line: 3}, "configuration (/etc/postgresql.conf, line 3)", "remove default_transaction_read_only from /etc/postgresql.conf (line 3), then: select pg_reload_conf()"},
		{Freeze{Source: "configuration file"}, "in the server's configuration", "where postgresql.conf sets it"},
		{Freeze{Source: "command line"}, "command line", "restart the server without"},
		{Freeze{Source: "client"}, "by the DSN", "remove default_transaction_read_only from the DSN"},
		{Freeze{Source: "session"}, "a pooler hands on", "DISCARD ALL"},
		{Freeze{}, "the transaction is read-only", "show default_transaction_read_only"},
	} {
		if !strings.Contains(c.freeze.String(), c.says) || !strings.Contains(c.freeze.Hint(), c.hint) {
			t.Errorf("%+v: %q, hint %q", c.freeze, c.freeze, c.freeze.Hint())
		}
	}
}
