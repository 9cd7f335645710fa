-- Load: an agent of new_agent's is deleted with its tasks and usage. Its hourly rows stay wrong:
-- no key is queued. Serves: agent is small; the cascade goes by agent_task_queue.agent_id.
DELETE FROM agent
WHERE id = (SELECT id FROM agent WHERE name = 'load-agent' ORDER BY created_at LIMIT 1)
