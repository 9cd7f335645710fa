package rollup_test

import (
	"context"
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

// TestWhatHidesRowsInTheMiddleOfAWalkEndsIt: nothing of the slice that met it, or
// after it, is written, and with the cause gone nothing is missing.
func TestWhatHidesRowsInTheMiddleOfAWalkEndsIt(t *testing.T) {
	for _, c := range []struct {
		name, break_, mend string
		kind               problem.Kind
		hint               string
	}{
		{"policy", "alter table agent_task_queue enable row level security", "alter table agent_task_queue disable row level security",
			problem.Permission, "bypassrls"},
		{"key", "alter table task_usage_hourly drop constraint uq_task_usage_hourly_key, add constraint uq_task_usage_hourly_key unique (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)",
			"alter table task_usage_hourly drop constraint uq_task_usage_hourly_key, add constraint uq_task_usage_hourly_key unique nulls not distinct (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)",
			problem.Config, "add constraint"},
		{"schema", "create schema alone; create table alone.issue (like issue)", "drop schema alone cascade", problem.Config, "set search_path"},
	} {
		for _, engine := range engines {
			for _, command := range []string{"run", "backfill"} {
				t.Run(c.name+"/"+engine+"/"+command, func(t *testing.T) {
					db := labtest.New(t, lab.Gen272)
					seed(t, db.Conn, lab.Typical(41, 400))
					role := roleWithout(t, db, "truncate on issue")
					exec(t, db.Conn, "alter role "+role+" set search_path = alone, public")
					a := newAgent(t, db, engine)
					a.opts.FixedSize = 50
					a.as(role)
					var was string
					state := "select watermark_at::text || coalesce(last_error, '') || (select count(*) || ' ' || coalesce(max(updated_at)::text, '') from task_usage_hourly) from task_usage_hourly_rollup_state"
					a.opts.Observe = func(st *report.State) {
						if st.Slices == 3 && was == "" {
							exec(t, db.Conn, c.break_)
							if c.name == "schema" {
								exec(t, db.Conn, "grant usage on schema alone to "+role+"; grant all on alone.issue to "+role)
							}
							was = get[string](t, db.Conn, state)
						}
					}
					w := a.walker()
					var err error
					if command == "run" {
						err = w.Run(context.Background())
					} else {
						var p *rollup.BackfillPlan
						if p, err = w.PlanBackfill(context.Background(), rollup.BackfillOptions{}); err == nil {
							err = w.Backfill(context.Background(), p, rollup.BackfillOptions{})
						}
					}
					if was == "" || problem.KindOf(err) != c.kind || !strings.Contains(problem.HintOf(err), c.hint) {
						t.Fatalf("%v (hint %q), want kind %v and %q in the hint", err, problem.HintOf(err), c.kind, c.hint)
					}
					if is := get[string](t, db.Conn, state); is != was {
						t.Errorf("%s\nwas\n%s", is, was)
					}
					a.opts.Observe = nil
					exec(t, db.Conn, c.mend)
					a.run()
					if command == "run" {
						exact(t, db.Conn)
					}
				})
			}
		}
	}
}
