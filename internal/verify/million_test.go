package verify_test

import (
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/verify"
)

// millionRows returns a rolled-up database with more than a million usage rows.
// Tasks of ordinary shape get nine more models each, by one statement: writing
// all of them as Seed does takes minutes.
func millionRows(t *testing.T) *labtest.DB {
	t.Helper()
	db := labtest.New(t, lab.Gen272)
	if _, err := lab.Seed(t.Context(), db.Conn, lab.Shape{
		Seed: 8, Tasks: 100_000, Months: 6, Agents: 4, Runtimes: 2, Projects: 4, SkewHour: 0.2, NoIssue: 0.1, NoCost: 0.3,
	}); err != nil {
		t.Fatal(err)
	}
	// Nothing to check row by row: the tasks are there.
	exec(t, db.Conn, "set session_replication_role = replica")
	exec(t, db.Conn, `insert into task_usage (id, task_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, created_at, updated_at, cost_usd_ticks)
		select gen_random_uuid(), u.task_id, 'wide', 'model-' || n, u.input_tokens + n, u.output_tokens, u.cache_read_tokens + 1, u.cache_write_tokens, u.created_at, u.created_at,
			case when n % 3 > 0 then u.input_tokens * n end
		from (select distinct on (task_id) * from task_usage order by task_id, model) u, generate_series(1, 9) n
		order by u.created_at`)
	exec(t, db.Conn, "reset session_replication_role")
	exec(t, db.Conn, "vacuum (analyze) task_usage")
	if rows := get[int64](t, db.Conn, "select count(*) from task_usage"); rows < 1_000_000 {
		t.Fatalf("there are %d usage rows, want a million", rows)
	}
	if err := lab.RollUp(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestOneChangedCounterIsFoundAmongAMillionRowsAndMended(t *testing.T) {
	db := millionRows(t)
	exec(t, db.Conn, `create table changed as select ctid as row, bucket_hour, agent_id, model from task_usage_hourly
		order by md5(bucket_hour::text || agent_id::text || model) limit 1`)
	exec(t, db.Conn, "update task_usage_hourly h set cache_read_tokens = cache_read_tokens - 1 from changed c where h.ctid = c.row")
	o := options(t)
	r := recount(t, db.DSN, o)
	if r.Wrong.Sum() != 1 || len(r.First) != 1 {
		t.Fatalf("%+v keys are wrong, want one", r.Wrong)
	}
	d := r.First[0]
	if !get[bool](t, db.Conn, "select (bucket_hour, agent_id::text, model) = ($1, $2, $3) from changed", d.Hour, d.Agent, d.Model) {
		t.Errorf("found %+v, which is not what was changed", d.Key)
	}
	if len(d.Counters) != 1 || d.Counters[0].Column != "cache_read_tokens" || *d.Counters[0].Raw != *d.Counters[0].Hourly+1 {
		t.Errorf("the wrong counters are %+v, want cache_read_tokens one too low", d.Counters)
	}
	o.Repair = true
	if r := recount(t, db.DSN, o); r.Verdict != verify.Clean || r.Repair.Queued != 1 {
		t.Errorf("verdict %q after repairing %+v", r.Verdict, r.Repair)
	}
	exact(t, db.Conn)
}
