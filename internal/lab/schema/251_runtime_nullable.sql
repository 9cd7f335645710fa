-- From v0.4.17 a deleted runtime leaves its finished tasks behind, without a runtime.
ALTER TABLE agent_task_queue
    ALTER COLUMN runtime_id DROP NOT NULL,
    DROP CONSTRAINT agent_task_queue_runtime_id_fkey,
    ADD CONSTRAINT agent_task_queue_runtime_id_fkey
        FOREIGN KEY (runtime_id) REFERENCES agent_runtime ON DELETE SET NULL,
    ADD CONSTRAINT agent_task_queue_runtime_or_completed
        CHECK (runtime_id IS NOT NULL OR completed_at IS NOT NULL);
INSERT INTO schema_migrations (version) VALUES ('251_agent_task_queue_runtime_nullable');
