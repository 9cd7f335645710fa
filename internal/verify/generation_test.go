package verify_test

import (
	"context"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

// TestANewGenerationIsOneEntry: two more columns, one of which reads NULL in the rows of before, are known by one
// entry in the list of stages. They are rolled up as history, in slices and from the queue, and recounted.
func TestANewGenerationIsOneEntry(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	if _, err := lab.Seed(t.Context(), db.Conn, lab.Typical(61, 400)); err != nil {
		t.Fatal(err)
	}
	exec(t, db.Conn, `alter table task_usage add reasoning_tokens bigint not null default 3, add tool_calls bigint;
		alter table task_usage_hourly add reasoning_tokens bigint not null default 0, add tool_calls bigint;
		update task_usage set tool_calls = 1 + input_tokens % 7, updated_at = updated_at where input_tokens % 3 = 0`)
	o := options(t)
	o.Known.Stages = append(o.Known.Stages, pipeline.Stage{
		Generation: "999",
		Counters: []pipeline.Counter{
			{Name: "reasoning_tokens", Sum: "sum(u.reasoning_tokens)"},
			{Name: "tool_calls", Sum: "coalesce(sum(u.tool_calls), 0)", NullUntilRecomputed: true},
		},
		Usage: []string{"reasoning_tokens", "tool_calls"},
	})
	run := func() *report.State {
		t.Helper()
		w := rollup.New(connector(t, db.DSN), rollup.Options{
			Command: "run", Engine: "set", Known: o.Known, Walk: o.Walk, StateDir: o.StateDir, Log: o.Log,
			Reconnect: labtest.Guard, LockPatience: labtest.Guard, HorizonDelay: time.Microsecond,
		})
		defer w.Close(context.Background())
		if err := w.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := w.State(); st.Outcome != report.Current || st.Engine != "set" || st.Generation != "999" {
			t.Fatalf("outcome %s by the %s engine for generation %s (%s)", st.Outcome, st.Engine, st.Generation, st.EngineReason)
		}
		return w.State()
	}
	sums := func() [2]int64 {
		return [2]int64{
			get[int64](t, db.Conn, "select sum(reasoning_tokens)::bigint from task_usage_hourly"),
			get[int64](t, db.Conn, "select sum(tool_calls)::bigint from task_usage_hourly"),
		}
	}
	right := func(how string) {
		t.Helper()
		exact(t, db.Conn)
		want := [2]int64{
			get[int64](t, db.Conn, "select sum(u.reasoning_tokens)::bigint from task_usage u join agent_task_queue q on q.id = u.task_id where q.runtime_id is not null"),
			get[int64](t, db.Conn, "select sum(u.tool_calls)::bigint from task_usage u join agent_task_queue q on q.id = u.task_id where q.runtime_id is not null"),
		}
		if got := sums(); got != want || want[0] == 0 || want[1] == 0 {
			t.Errorf("%s: the new columns sum up to %d, want %d", how, got, want)
		}
	}
	run()
	right("as history")

	exec(t, db.Conn, "update task_usage set reasoning_tokens = 40, tool_calls = 2, updated_at = now() where input_tokens % 5 = 0")
	run()
	right("in a slice")

	exec(t, db.Conn, "update task_usage set reasoning_tokens = 41, updated_at = updated_at where input_tokens % 7 = 0")
	if r := recount(t, db.DSN, o); r.Wrong.Differing == 0 || r.First[0].Counters[0].Column != "reasoning_tokens" {
		t.Fatalf("the recount found %+v, the first %+v; want differing reasoning_tokens", r.Wrong, r.First)
	}
	o.Repair = true
	if r := recount(t, db.DSN, o); r.Repair == nil || r.Repair.Left.Sum() != 0 {
		t.Fatalf("repair: %+v", r.Repair)
	}
	right("from the queue")

	o.Repair = false
	exec(t, db.Conn, `update task_usage_hourly set tool_calls = null, uncosted_input_tokens = null, uncosted_output_tokens = null,
		uncosted_cache_read_tokens = null, uncosted_cache_write_tokens = null where bucket_hour = (select min(bucket_hour) from task_usage_hourly)`)
	if r := recount(t, db.DSN, o); r.NotRecomputed == 0 || r.Wrong.Sum() != 0 {
		t.Errorf("rows of before the columns came: %d not recomputed, %+v wrong", r.NotRecomputed, r.Wrong)
	}
}
