-- Load: a runtime of new_runtime's is deleted as the app does it from 251 on: in one transaction its
-- tasks are unbound, which queues their keys, then its system agents are deleted, and the runtime
-- last. Tasks that have not ended are ended first, since only such may have no runtime.
-- Serves: agent_runtime is small; agent_task_queue goes by runtime_id, agent by runtime_id.
SELECT set_config('load.runtime', coalesce((
    SELECT id FROM agent_runtime WHERE name = 'load-runtime' ORDER BY created_at LIMIT 1 FOR UPDATE)::text, ''), true);
UPDATE agent_task_queue SET status = 'cancelled', completed_at = now()
WHERE completed_at IS NULL AND runtime_id = nullif(current_setting('load.runtime'), '')::uuid;
UPDATE agent_task_queue SET runtime_id = NULL
WHERE runtime_id = nullif(current_setting('load.runtime'), '')::uuid;
DELETE FROM agent WHERE is_system AND runtime_id = nullif(current_setting('load.runtime'), '')::uuid;
DELETE FROM agent_runtime WHERE id = nullif(current_setting('load.runtime'), '')::uuid
