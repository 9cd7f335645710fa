-- Load: an agent of new_agent's is hard-deleted, its tasks and usage with it. Its hourly rows are
-- kept: the cascade's trigger joins an agent row that is gone already, so no key is queued.
-- Serves: agent is small; the cascade goes by agent_task_queue.agent_id.
DELETE FROM agent
WHERE id = (SELECT id FROM agent WHERE name = 'load-agent' ORDER BY created_at LIMIT 1)
