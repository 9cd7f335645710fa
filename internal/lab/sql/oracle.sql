-- The oracle: raw usage grouped, against task_usage_hourly, before the cost columns of 213.
-- Inputs: $1 horizon, NULL for none: keys with usage or queued invalidations at or after it are
-- left out, as nobody has had to roll them up yet.
-- Output: a row for each difference: kind (missing, extra, wrong), the seven key columns, and both
-- sides' counters (input, output, cache read, cache write tokens, tasks, events) as arrays of exact
-- decimal numbers.
-- Left aside, and counted by oracle_aside.sql: the kept rows, which are the hourly rows of agents
-- that do not exist any more; the odd keys, whose hour is not finite or whose counters exceed bigint.
-- Reads whole tables, on purpose: no index can mislead it.
WITH raw AS MATERIALIZED (
    SELECT date_trunc('hour', tu.created_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS bucket_hour, a.workspace_id,
           q.runtime_id, q.agent_id, i.project_id, tu.provider, tu.model,
           ARRAY[sum(tu.input_tokens), sum(tu.output_tokens), sum(tu.cache_read_tokens), sum(tu.cache_write_tokens),
                 count(DISTINCT tu.task_id), count(*)]::numeric[] AS counters,
           max(coalesce(tu.updated_at, tu.created_at)) AS latest
    FROM task_usage tu
    JOIN agent_task_queue q ON q.id = tu.task_id
    JOIN agent a ON a.id = q.agent_id
    LEFT JOIN issue i ON i.id = q.issue_id
    WHERE q.runtime_id IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7
), compared AS (
    SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
           max(want) AS want, max(got) AS got, max(latest) AS latest
    FROM (
        SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
               counters AS want, NULL::numeric[] AS got, latest
        FROM raw
        UNION ALL
        SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model, NULL,
               ARRAY[input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, task_count, event_count]::numeric[], NULL
        FROM task_usage_hourly h
        WHERE EXISTS (SELECT 1 FROM agent a WHERE a.id = h.agent_id)
    ) both_sides
    GROUP BY bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model
)
SELECT CASE WHEN got IS NULL THEN 'missing' WHEN want IS NULL THEN 'extra' ELSE 'wrong' END AS kind,
       bucket_hour, workspace_id::text, runtime_id::text, agent_id::text, project_id::text, provider, model,
       want::text[], got::text[]
FROM compared c
WHERE want IS DISTINCT FROM got
  AND isfinite(bucket_hour)
  AND 9223372036854775807 >= ALL (coalesce(want, '{}')) AND -9223372036854775808 <= ALL (coalesce(want, '{}'))
  AND ($1::timestamptz IS NULL
       OR (coalesce(c.latest < $1, true)
           AND NOT EXISTS (
               SELECT 1 FROM task_usage_hourly_dirty d
               WHERE d.enqueued_at >= $1
                 AND d.bucket_hour = c.bucket_hour AND d.workspace_id = c.workspace_id
                 AND d.runtime_id = c.runtime_id AND d.agent_id = c.agent_id
                 AND d.project_id IS NOT DISTINCT FROM c.project_id
                 AND d.provider = c.provider AND d.model = c.model)))
ORDER BY bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model
