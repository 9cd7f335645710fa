package verify_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/verify"
)

func compareEngines(t testing.TB, db *labtest.DB, windows int) (*verify.EngineReport, error) {
	t.Helper()
	o := options(t)
	o.Windows = windows
	v := verify.New(connector(t, db.DSN), o)
	defer v.Close(context.Background())
	return v.Engines(context.Background())
}

// invalidate queues keys as a running Multica does, and returns how many.
func invalidate(t testing.TB, conn *pgx.Conn) int64 {
	t.Helper()
	exec(t, conn, "delete from task_usage where id in (select id from task_usage order by id limit 30)")
	exec(t, conn, "update issue set project_id = null where id in (select id from issue where project_id is not null order by id limit 20)")
	return get[int64](t, conn, "select count(*) from task_usage_hourly_dirty")
}

// picture is everything that a comparison must leave as it was.
const picture = `select md5(coalesce(string_agg(t, '' order by t), '')) from (
	select h::text as t from task_usage_hourly h union all select d::text from task_usage_hourly_dirty d
	union all select s::text from task_usage_hourly_rollup_state s) x`

func TestBothEnginesWriteTheSameAndLeaveNothingBehind(t *testing.T) {
	for _, gen := range generations {
		for _, rolled := range []bool{true, false} {
			name := string(gen) + "/fresh"
			if rolled {
				name = string(gen) + "/rolled up"
			}
			t.Run(name, func(t *testing.T) {
				db := labtest.New(t, gen)
				if _, err := lab.Seed(t.Context(), db.Conn, lab.Typical(11, 2000)); err != nil {
					t.Fatal(err)
				}
				if rolled {
					if err := lab.RollUp(t.Context(), db.Conn); err != nil {
						t.Fatal(err)
					}
				}
				queued := invalidate(t, db.Conn)
				before := get[string](t, db.Conn, picture)
				r, err := compareEngines(t, db, 8)
				if err != nil {
					t.Fatal(err)
				}
				kinds := map[string]int64{}
				for _, w := range r.Windows {
					kinds[w.Kind] += w.Keys
				}
				if !r.Equal || r.Rows == 0 || kinds["recent"] == 0 || kinds["history"] == 0 || kinds["queue"] != queued {
					t.Errorf("equal: %v, %d rows, keys by kind %v with %d queued, skipped %v", r.Equal, r.Rows, kinds, queued, r.Skipped)
				}
				for _, w := range r.Windows {
					for _, d := range w.Differences {
						t.Errorf("%s window from %s:\nset      %s\nfunction %s", w.Kind, w.From, d.Set, d.Function)
					}
				}
				if after := get[string](t, db.Conn, picture); after != before {
					t.Error("the comparison left something behind")
				}
			})
		}
	}
}

func TestAFunctionThatCountsDifferentlyIsFound(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"another sum", "sum(v.output_tokens) AS output_tokens", "sum(v.output_tokens) + 1 AS output_tokens", "output_tokens"},
		{"a filter", "WHERE i.project_id IS NOT DISTINCT FROM v.project_id", "WHERE i.project_id = v.project_id", "no row"},
		{"rows of other keys", "    RETURN v_rows;\nEND", "    UPDATE task_usage_hourly SET event_count = event_count + 1;\n    RETURN v_rows;\nEND", "event_count"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := rolledUp(t, lab.Gen272, lab.Typical(12, 1000))
			source := get[string](t, db.Conn, "select pg_get_functiondef('rollup_task_usage_hourly_window'::regproc)")
			changed := strings.Replace(source, c.from, c.to, 1)
			if changed == source {
				t.Fatalf("the function has no %q", c.from)
			}
			exec(t, db.Conn, changed)
			r, err := compareEngines(t, db, 4)
			if err != nil {
				t.Fatal(err)
			}
			var found string
			for _, w := range r.Windows {
				for _, d := range w.Differences {
					found += d.Set + " against " + d.Function + "\n"
				}
			}
			if r.Equal || !strings.Contains(found, c.want) {
				t.Errorf("equal: %v, differences:\n%s\nwant one with %s", r.Equal, found, c.want)
			}
			exact(t, db.Conn)
		})
	}
}

func TestEnginesWaitForTheLockAndGiveUp(t *testing.T) {
	db := rolledUp(t, lab.Gen272, lab.Typical(13, 200))
	other := db.Connect(t)
	exec(t, other, "select pg_advisory_lock(4246)")
	go func() {
		// Once the comparison has tried to have it.
		for waits := false; !waits; {
			if err := db.Conn.QueryRow(context.Background(), "select exists (select from pg_stat_activity where application_name = 'multica-rollup/test' and query like '%advisory%')").Scan(&waits); err != nil {
				return
			}
		}
		_, _ = other.Exec(context.Background(), "select pg_advisory_unlock(4246)") // the comparison then fails the test
	}()
	r, err := compareEngines(t, db, 2)
	if err != nil || !r.Equal || len(r.Skipped) > 0 {
		t.Fatalf("after the lock was free: %+v, %v", r, err)
	}
}

func TestEnginesCannotBeComparedWhereThereIsNothingToCompare(t *testing.T) {
	for _, c := range []struct{ name, sql, want string }{
		{"no usage", "select 1", "there is no usage yet"},
		{"an unknown column", "alter table task_usage_hourly add column reasoning_tokens bigint", "unknown column reasoning_tokens"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			exec(t, db.Conn, c.sql)
			if _, err := compareEngines(t, db, 4); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestASlowFunctionIsComparedOnSmallerWindows(t *testing.T) {
	db := rolledUp(t, lab.Gen272, lab.Shape{Seed: 14, Tasks: 2000, SkewHour: 0.1})
	source := get[string](t, db.Conn, "select pg_get_functiondef('rollup_task_usage_hourly_window'::regproc)")
	slow := strings.Replace(source, "RETURN v_rows;", `PERFORM pg_sleep(0.05 * (SELECT count(*) FROM task_usage WHERE updated_at >= p_from AND updated_at < p_to));
		RETURN v_rows;`, 1)
	if slow == source {
		t.Fatal("the function has no place to slow it down")
	}
	exec(t, db.Conn, slow)
	r, err := compareEngines(t, db, 3)
	if err != nil || !r.Equal || len(r.Windows) != 3 {
		t.Fatalf("%+v, %v; want three windows, equal", r, err)
	}
	for _, w := range r.Windows {
		if w.Events > 80 {
			t.Errorf("a window of %d events took the function %s", w.Events, w.Function())
		}
	}
}
