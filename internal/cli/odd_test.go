package cli_test

import (
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// TestCommandsThatReadSurviveAnyRow: times that no calendar of ours holds, and sums
// beyond a bigint, may be found wrong or not due; they end no command that only reads.
func TestCommandsThatReadSurviveAnyRow(t *testing.T) {
	const (
		usage = "insert into task_usage (task_id, provider, model, input_tokens, created_at, updated_at) select id, 'odd', 'odd', 1, %, # from agent_task_queue limit 1"
		big   = `insert into task_usage (task_id, provider, model, input_tokens, created_at, updated_at)
			select id, 'odd', 'big', 9223372036854775807, date_trunc('hour', now() - interval '2 hours'), now() - interval '1 hour' from agent_task_queue
			where (agent_id, runtime_id) = (select agent_id, runtime_id from agent_task_queue where issue_id is null group by 1, 2 having count(*) > 1 limit 1) and issue_id is null limit 2`
	)
	rows := map[string]string{
		"a sum beyond a bigint": big,
		"hourly counters whose sum is beyond a bigint": `insert into task_usage_hourly (bucket_hour, workspace_id, runtime_id, agent_id, provider, model, input_tokens, output_tokens)
			select date_trunc('hour', now() - interval '2 hours', 'UTC'), a.workspace_id, q.runtime_id, a.id, 'odd', 'big', 9223372036854775807, 9223372036854775807
			from agent a join agent_task_queue q on q.agent_id = a.id limit 1`,
		"an infinite queue row":         `insert into task_usage_hourly_dirty select h.bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model, 'infinity' from task_usage_hourly h limit 1`,
		"a queue row of the year 44 BC": `insert into task_usage_hourly_dirty select h.bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model, '0044-03-15 BC' from task_usage_hourly h limit 1`,
		"infinite last run":             "update task_usage_hourly_rollup_state set last_run_started_at = '-infinity', last_run_finished_at = 'infinity'",
		"an infinite watermark":         "update task_usage_hourly_rollup_state set watermark_at = 'infinity'",
	}
	for _, at := range []string{"'2400-01-01'", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'294276-12-31'"} {
		created := strings.Replace(usage, "%", at, 1)
		rows["created "+at] = strings.Replace(created, "#", "(select watermark_at + interval '1 second' from task_usage_hourly_rollup_state)", 1)
		rows["created and never updated "+at] = strings.Replace(created, "#", "null", 1)
		rows["updated "+at] = strings.Replace(strings.Replace(usage, "#", at, 1), "%", "now() - interval '3 hours'", 1)
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			r := newRefusing(t)
			if err := lab.RollUp(t.Context(), r.db.Conn); err != nil {
				t.Fatal(err)
			}
			r.exec(row)
			before := r.written()
			for _, command := range []string{"status", "status --json", "doctor", "doctor --json", "guard", "guard --json", "verify", "verify --json", "backfill --dry-run", "backfill --dry-run --json"} {
				code, stdout, stderr := r.cli(command)
				most := 2
				if strings.HasPrefix(command, "backfill") {
					most = 0
					if name == "an infinite watermark" {
						most = 1 // a run takes it back
					}
				}
				if code > most || stdout == "" && most != 1 || strings.Contains(stdout, "could not be checked") {
					t.Errorf("%s ended with %d\n%s%s", command, code, stdout, stderr)
				}
			}
			if r.written() != before {
				t.Error("something was written")
			}
		})
	}
}
