-- Load: a task is deleted, its usage with it. Serves: its primary key from a random point.
DELETE FROM agent_task_queue
WHERE id = (SELECT id FROM agent_task_queue WHERE id >= (SELECT gen_random_uuid()) ORDER BY id LIMIT 1)
