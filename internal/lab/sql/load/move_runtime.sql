-- Load: a task moves to another runtime of its workspace; its usage changes buckets unseen by updated_at.
-- Serves: agent_task_queue's primary key from a random point.
WITH t AS (
    SELECT q.id, a.workspace_id FROM agent_task_queue q JOIN agent a ON a.id = q.agent_id
    WHERE q.id >= (SELECT gen_random_uuid()) ORDER BY q.id LIMIT 1
)
UPDATE agent_task_queue SET runtime_id = r.id
FROM (SELECT id FROM agent_runtime WHERE workspace_id = (SELECT workspace_id FROM t) ORDER BY random() LIMIT 1) r
WHERE agent_task_queue.id = (SELECT id FROM t)
