-- Load: one finished task of a random agent, with one or two usage rows, as the app writes them.
-- Serves: agent and agent_runtime are small; issue goes by its primary key from a random point.
WITH a AS (
    SELECT id, workspace_id FROM agent ORDER BY random() LIMIT 1
), r AS (
    SELECT id FROM agent_runtime WHERE workspace_id = (SELECT workspace_id FROM a) ORDER BY random() LIMIT 1
), i AS (
    SELECT id FROM issue
    WHERE id >= (SELECT gen_random_uuid()) AND workspace_id = (SELECT workspace_id FROM a)
    ORDER BY id LIMIT 1
), t AS (
    INSERT INTO agent_task_queue (agent_id, runtime_id, issue_id, status, completed_at)
    SELECT a.id, r.id, (SELECT id FROM i), 'completed', now() FROM a, r
    RETURNING id
)
INSERT INTO task_usage (task_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens)
SELECT t.id, 'anthropic', 'model-' || g, (random() * 20000)::bigint, (random() * 8000)::bigint,
       (random() * 200000)::bigint, (random() * 20000)::bigint
FROM t, generate_series(1, 1 + (random() * 0.7)::int) g
