-- From v0.4.16 three of the four triggers do nothing while a workspace is torn down: its transaction
-- sets multica.workspace_teardown to 'on' and deletes the hourly rows itself. The fourth,
-- trg_issue_project_dirty_hourly, stays that of 102. The bodies are those of 102 otherwise.

CREATE OR REPLACE FUNCTION trg_atq_dirty_hourly() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('multica.workspace_teardown', true) = 'on' THEN
        RETURN coalesce(NEW, OLD);
    END IF;
    PERFORM enqueue_task_usage_hourly_dirty(OLD.id, OLD.agent_id, OLD.runtime_id,
        (SELECT project_id FROM issue WHERE id = OLD.issue_id));
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    PERFORM enqueue_task_usage_hourly_dirty(NEW.id, NEW.agent_id, NEW.runtime_id,
        (SELECT project_id FROM issue WHERE id = NEW.issue_id));
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION trg_issue_delete_dirty_hourly() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('multica.workspace_teardown', true) = 'on' THEN
        RETURN OLD;
    END IF;
    PERFORM enqueue_task_usage_hourly_dirty(q.id, q.agent_id, q.runtime_id, OLD.project_id)
    FROM agent_task_queue q WHERE q.issue_id = OLD.id;
    RETURN OLD;
END
$$;

CREATE OR REPLACE FUNCTION trg_tu_dirty_hourly() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('multica.workspace_teardown', true) = 'on' THEN
        RETURN OLD;
    END IF;
    INSERT INTO task_usage_hourly_dirty AS d
        (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
    SELECT task_usage_hour_bucket(OLD.created_at), a.workspace_id, q.runtime_id, q.agent_id,
           i.project_id, OLD.provider, OLD.model
    FROM agent_task_queue q
    JOIN agent a ON a.id = q.agent_id
    LEFT JOIN issue i ON i.id = q.issue_id
    WHERE q.id = OLD.task_id AND q.runtime_id IS NOT NULL
    ON CONFLICT ON CONSTRAINT uq_task_usage_hourly_dirty_key
    DO UPDATE SET enqueued_at = greatest(d.enqueued_at, EXCLUDED.enqueued_at);
    RETURN OLD;
END
$$;

INSERT INTO schema_migrations (version) VALUES ('243_usage_triggers_workspace_teardown');
