package doctor

import (
	"context"
	"fmt"
	"strings"
)

// triggerEvents are what the triggers of the pipeline fire on.
var triggerEvents = map[string]string{
	"trg_atq_dirty_hourly":           "update of runtime_id, issue_id or delete on agent_task_queue",
	"trg_issue_project_dirty_hourly": "update of project_id on issue",
	"trg_issue_delete_dirty_hourly":  "delete on issue",
	"trg_tu_dirty_hourly":            "delete on task_usage",
}

// triggersCheck: without them, moved and deleted usage stays in its old buckets.
func triggersCheck() Check {
	return Check{ID: "triggers", Title: "the triggers that feed the queue fire", Needs: []string{"pipeline"}, Run: func(ctx context.Context, env *Env) Finding {
		var missing, disabled []string
		var fixes []string
		for _, t := range env.pipe.Triggers {
			switch {
			case !t.Present:
				create, err := env.createTrigger(ctx, t.Name)
				if err != nil {
					return env.unknown(err)
				}
				missing, fixes = append(missing, t.Name+" on "+t.Table), append(fixes, create)
			case !t.Enabled:
				disabled = append(disabled, t.Name+" on "+t.Table)
				fixes = append(fixes, "alter table "+t.Table+" enable trigger "+t.Name)
			}
		}
		if len(fixes) == 0 {
			return well("all %d triggers are enabled", len(env.pipe.Triggers))
		}
		fix := env.sql(strings.Join(fixes, "; "))
		for _, text := range fixes {
			if text == "" {
				fix = Fix{Advice: "take the definition of " + strings.Join(missing, " and ") + " from a fresh database of the same Multica release: pg_dump --schema-only"}
			}
		}
		var parts []string
		if len(missing) > 0 {
			parts = append(parts, "missing: "+strings.Join(missing, ", "))
		}
		if len(disabled) > 0 {
			parts = append(parts, "disabled: "+strings.Join(disabled, ", "))
		}
		return critical(fix, "changes are not queued, so buckets stay wrong; triggers %s", strings.Join(parts, "; ")).
			with("what changed meanwhile was not queued; mend that afterwards: %s", env.command("verify --repair").Command)
	}}
}

// createTrigger is the statement that makes a dropped trigger anew; "" where its
// function cannot be told. Its function is looked for by name, and when it fires
// is taken from its siblings, which are of one kind.
func (e *Env) createTrigger(ctx context.Context, name string) (string, error) {
	var function *string
	var before *bool
	if err := e.get(ctx, []any{&function, &before}, query("trigger_function"), name); err != nil {
		return "", err
	}
	if function == nil || before == nil {
		return "", nil
	}
	when := "after"
	if *before {
		when = "before"
	}
	return fmt.Sprintf("create trigger %s %s %s for each row execute function %s()", name, when, triggerEvents[name], *function), nil
}
