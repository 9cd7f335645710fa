-- What the oracle leaves aside, for every generation (cost_usd_ticks is read through jsonb, since
-- it came with 213).
-- Output: one row: kept rows, their agents, the sum of their four token counters as text, odd keys.
-- Reads whole tables, like the oracle.
WITH raw AS (
    SELECT date_trunc('hour', tu.created_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS bucket_hour, a.workspace_id,
           q.runtime_id, q.agent_id, i.project_id, tu.provider, tu.model,
           ARRAY[sum(tu.input_tokens), sum(tu.output_tokens), sum(tu.cache_read_tokens), sum(tu.cache_write_tokens),
                 coalesce(sum(c.ticks), 0),
                 coalesce(sum(tu.input_tokens) FILTER (WHERE c.ticks IS NULL), 0),
                 coalesce(sum(tu.output_tokens) FILTER (WHERE c.ticks IS NULL), 0),
                 coalesce(sum(tu.cache_read_tokens) FILTER (WHERE c.ticks IS NULL), 0),
                 coalesce(sum(tu.cache_write_tokens) FILTER (WHERE c.ticks IS NULL), 0)] AS counters
    FROM task_usage tu
    CROSS JOIN LATERAL (SELECT (to_jsonb(tu) ->> 'cost_usd_ticks')::numeric AS ticks) c
    JOIN agent_task_queue q ON q.id = tu.task_id
    JOIN agent a ON a.id = q.agent_id
    LEFT JOIN issue i ON i.id = q.issue_id
    WHERE q.runtime_id IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7
), odd AS (
    SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model
    FROM raw
    WHERE NOT isfinite(bucket_hour)
       OR 9223372036854775807 < ANY (counters) OR -9223372036854775808 > ANY (counters)
    UNION
    SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model
    FROM task_usage_hourly h
    WHERE NOT isfinite(bucket_hour) AND EXISTS (SELECT 1 FROM agent a WHERE a.id = h.agent_id)
), kept AS (
    SELECT h.* FROM task_usage_hourly h WHERE NOT EXISTS (SELECT 1 FROM agent a WHERE a.id = h.agent_id)
)
SELECT count(*), count(DISTINCT agent_id),
       coalesce(sum(input_tokens::numeric + output_tokens + cache_read_tokens + cache_write_tokens), 0)::text,
       (SELECT count(*) FROM odd)
FROM kept
