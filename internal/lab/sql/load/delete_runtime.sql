-- Load: a runtime of new_runtime's is deleted. Before 272 its tasks go with it; from then on they
-- stay without a runtime, for which they must have ended.
-- Serves: agent_runtime is small; agent_task_queue goes by runtime_id.
UPDATE agent_task_queue SET completed_at = now()
WHERE completed_at IS NULL AND runtime_id IN (SELECT id FROM agent_runtime WHERE name = 'load-runtime');
DELETE FROM agent_runtime
WHERE id = (SELECT id FROM agent_runtime WHERE name = 'load-runtime' ORDER BY created_at LIMIT 1)
