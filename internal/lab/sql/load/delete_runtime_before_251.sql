-- Load: a runtime of new_runtime's is deleted as the app does it before 251: its tasks and their
-- usage go with it, and then the system agents that it had.
-- Serves: agent_runtime is small; agent_task_queue goes by runtime_id, agent by runtime_id.
SELECT set_config('load.runtime', coalesce((
    SELECT id FROM agent_runtime WHERE name = 'load-runtime' ORDER BY created_at LIMIT 1 FOR UPDATE)::text, ''), true);
DELETE FROM agent_task_queue WHERE runtime_id = nullif(current_setting('load.runtime'), '')::uuid;
DELETE FROM agent WHERE is_system AND runtime_id = nullif(current_setting('load.runtime'), '')::uuid;
DELETE FROM agent_runtime WHERE id = nullif(current_setting('load.runtime'), '')::uuid
