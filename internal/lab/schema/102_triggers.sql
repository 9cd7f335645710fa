-- Triggers that queue the keys of changes which task_usage.updated_at cannot show.
-- All run BEFORE the change: a delete's usage rows are still there, the cascade comes after.
-- The keys' workspace is looked up through agent, which is gone already when the delete cascades
-- down from the agent itself: such keys are never queued.

-- Queues the keys of one task's usage under the given runtime and issue's project.
CREATE FUNCTION enqueue_task_usage_hourly_dirty(
    p_task_id uuid, p_agent_id uuid, p_runtime_id uuid, p_project_id uuid) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO task_usage_hourly_dirty AS d
        (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
    SELECT DISTINCT task_usage_hour_bucket(tu.created_at), a.workspace_id, p_runtime_id, p_agent_id,
           p_project_id, tu.provider, tu.model
    FROM task_usage tu
    JOIN agent a ON a.id = p_agent_id
    WHERE tu.task_id = p_task_id AND p_runtime_id IS NOT NULL
    ON CONFLICT ON CONSTRAINT uq_task_usage_hourly_dirty_key
    DO UPDATE SET enqueued_at = greatest(d.enqueued_at, EXCLUDED.enqueued_at)
$$;

CREATE FUNCTION trg_atq_dirty_hourly() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
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
CREATE TRIGGER trg_atq_dirty_hourly BEFORE UPDATE OF runtime_id, issue_id OR DELETE ON agent_task_queue
    FOR EACH ROW EXECUTE FUNCTION trg_atq_dirty_hourly();

CREATE FUNCTION trg_issue_project_dirty_hourly() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.project_id IS DISTINCT FROM OLD.project_id THEN
        PERFORM enqueue_task_usage_hourly_dirty(q.id, q.agent_id, q.runtime_id, p.project_id)
        FROM agent_task_queue q CROSS JOIN (VALUES (OLD.project_id), (NEW.project_id)) AS p (project_id)
        WHERE q.issue_id = NEW.id;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER trg_issue_project_dirty_hourly BEFORE UPDATE OF project_id ON issue
    FOR EACH ROW EXECUTE FUNCTION trg_issue_project_dirty_hourly();

CREATE FUNCTION trg_issue_delete_dirty_hourly() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM enqueue_task_usage_hourly_dirty(q.id, q.agent_id, q.runtime_id, OLD.project_id)
    FROM agent_task_queue q WHERE q.issue_id = OLD.id;
    RETURN OLD;
END
$$;
CREATE TRIGGER trg_issue_delete_dirty_hourly BEFORE DELETE ON issue
    FOR EACH ROW EXECUTE FUNCTION trg_issue_delete_dirty_hourly();

CREATE FUNCTION trg_tu_dirty_hourly() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
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
CREATE TRIGGER trg_tu_dirty_hourly BEFORE DELETE ON task_usage
    FOR EACH ROW EXECUTE FUNCTION trg_tu_dirty_hourly();
