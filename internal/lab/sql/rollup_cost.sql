-- Fills task_usage_hourly from raw usage in one go, with the cost columns of 213; empties the
-- queue and sets the watermark five minutes back. Usage younger than that is rolled up as well,
-- which does no harm: it is rolled up again.
-- Reads everything once.
TRUNCATE task_usage_hourly, task_usage_hourly_dirty;
INSERT INTO task_usage_hourly (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, task_count, event_count,
    cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens)
SELECT task_usage_hour_bucket(tu.created_at), a.workspace_id, q.runtime_id, q.agent_id, i.project_id, tu.provider, tu.model,
       sum(tu.input_tokens), sum(tu.output_tokens), sum(tu.cache_read_tokens), sum(tu.cache_write_tokens),
       count(DISTINCT tu.task_id), count(*), coalesce(sum(tu.cost_usd_ticks), 0),
       sum(CASE WHEN tu.cost_usd_ticks IS NULL THEN tu.input_tokens ELSE 0 END),
       sum(CASE WHEN tu.cost_usd_ticks IS NULL THEN tu.output_tokens ELSE 0 END),
       sum(CASE WHEN tu.cost_usd_ticks IS NULL THEN tu.cache_read_tokens ELSE 0 END),
       sum(CASE WHEN tu.cost_usd_ticks IS NULL THEN tu.cache_write_tokens ELSE 0 END)
FROM task_usage tu
JOIN agent_task_queue q ON q.id = tu.task_id
JOIN agent a ON a.id = q.agent_id
LEFT JOIN issue i ON i.id = q.issue_id
WHERE q.runtime_id IS NOT NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7;
UPDATE task_usage_hourly_rollup_state
SET watermark_at = now() - interval '5 minutes', last_run_started_at = now(), last_run_finished_at = now(), last_error = NULL
