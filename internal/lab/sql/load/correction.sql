-- Load: a correction, the app's upsert: it overwrites the counters and moves updated_at, not
-- created_at. Mostly one of the latest 200 usage rows, sometimes any of the history.
-- Serves: created_at backwards; the primary key from a random point.
WITH coin AS MATERIALIZED (
    SELECT random() < 0.75 AS recent
), pick AS (
    (SELECT task_id, provider, model FROM task_usage WHERE (SELECT recent FROM coin)
     ORDER BY created_at DESC OFFSET (SELECT (random() * 200)::int) LIMIT 1)
    UNION ALL
    (SELECT task_id, provider, model FROM task_usage
     WHERE NOT (SELECT recent FROM coin) AND id >= (SELECT gen_random_uuid()) ORDER BY id LIMIT 1)
)
INSERT INTO task_usage (task_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens)
SELECT task_id, provider, model, (random() * 30000)::bigint, (random() * 9000)::bigint,
       (random() * 300000)::bigint, (random() * 30000)::bigint
FROM pick
ON CONFLICT (task_id, provider, model) DO UPDATE SET
    input_tokens = EXCLUDED.input_tokens, output_tokens = EXCLUDED.output_tokens,
    cache_read_tokens = EXCLUDED.cache_read_tokens, cache_write_tokens = EXCLUDED.cache_write_tokens,
    updated_at = now()
