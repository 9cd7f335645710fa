-- After seeding: fills the legacy daily tables from raw usage, where the database still has them.
-- Reads everything once.
DO $$
BEGIN
    IF to_regclass('task_usage_daily') IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO task_usage_daily (bucket_date, workspace_id, runtime_id, provider, model,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, event_count)
    SELECT (tu.created_at AT TIME ZONE 'UTC')::date, a.workspace_id, q.runtime_id, tu.provider, tu.model,
           sum(tu.input_tokens), sum(tu.output_tokens), sum(tu.cache_read_tokens), sum(tu.cache_write_tokens), count(*)
    FROM task_usage tu
    JOIN agent_task_queue q ON q.id = tu.task_id
    JOIN agent a ON a.id = q.agent_id
    GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT DO NOTHING;
    INSERT INTO task_usage_dashboard_daily (bucket_date, workspace_id, agent_id, project_id, model,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, task_count)
    SELECT (tu.created_at AT TIME ZONE 'UTC')::date, a.workspace_id, q.agent_id, i.project_id, tu.model,
           sum(tu.input_tokens), sum(tu.output_tokens), sum(tu.cache_read_tokens), sum(tu.cache_write_tokens),
           count(DISTINCT tu.task_id)
    FROM task_usage tu
    JOIN agent_task_queue q ON q.id = tu.task_id
    JOIN agent a ON a.id = q.agent_id
    LEFT JOIN issue i ON i.id = q.issue_id
    GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT DO NOTHING;
END
$$
