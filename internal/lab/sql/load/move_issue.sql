-- Load: a task moves to another issue of its workspace, or to none.
-- Serves: the primary keys of agent_task_queue and issue from a random point.
WITH t AS (
    SELECT q.id, a.workspace_id FROM agent_task_queue q JOIN agent a ON a.id = q.agent_id
    WHERE q.id >= (SELECT gen_random_uuid()) ORDER BY q.id LIMIT 1
)
UPDATE agent_task_queue SET issue_id = CASE WHEN (SELECT random()) < 0.7 THEN (
    SELECT id FROM issue
    WHERE id >= (SELECT gen_random_uuid()) AND workspace_id = (SELECT workspace_id FROM t)
    ORDER BY id LIMIT 1) END
WHERE id = (SELECT id FROM t)
