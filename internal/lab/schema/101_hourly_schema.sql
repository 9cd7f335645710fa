-- The hourly rollup's tables: result, state, invalidation queue; and the bucket function.

CREATE TABLE task_usage_hourly (
    bucket_hour        timestamptz NOT NULL,
    workspace_id       uuid NOT NULL,
    runtime_id         uuid NOT NULL,
    agent_id           uuid NOT NULL,
    project_id         uuid,
    provider           text NOT NULL,
    model              text NOT NULL,
    input_tokens       bigint NOT NULL DEFAULT 0,
    output_tokens      bigint NOT NULL DEFAULT 0,
    cache_read_tokens  bigint NOT NULL DEFAULT 0,
    cache_write_tokens bigint NOT NULL DEFAULT 0,
    task_count         bigint NOT NULL DEFAULT 0,
    event_count        bigint NOT NULL DEFAULT 0,
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_task_usage_hourly_key
        UNIQUE NULLS NOT DISTINCT (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
);
CREATE INDEX idx_task_usage_hourly_workspace ON task_usage_hourly (workspace_id, bucket_hour DESC);
CREATE INDEX idx_task_usage_hourly_runtime ON task_usage_hourly (runtime_id, bucket_hour DESC);
CREATE INDEX idx_task_usage_hourly_agent ON task_usage_hourly (workspace_id, agent_id, bucket_hour DESC);
CREATE INDEX idx_task_usage_hourly_project ON task_usage_hourly (workspace_id, project_id, bucket_hour DESC)
    WHERE project_id IS NOT NULL;

CREATE TABLE task_usage_hourly_rollup_state (
    id                   smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    watermark_at         timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    last_run_started_at  timestamptz,
    last_run_finished_at timestamptz,
    last_run_rows        bigint NOT NULL DEFAULT 0,
    last_error           text
);
INSERT INTO task_usage_hourly_rollup_state (id) VALUES (1);

CREATE TABLE task_usage_hourly_dirty (
    bucket_hour  timestamptz NOT NULL,
    workspace_id uuid NOT NULL,
    runtime_id   uuid NOT NULL,
    agent_id     uuid NOT NULL,
    project_id   uuid,
    provider     text NOT NULL,
    model        text NOT NULL,
    enqueued_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_task_usage_hourly_dirty_key
        UNIQUE NULLS NOT DISTINCT (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
);
CREATE INDEX idx_task_usage_hourly_dirty_enqueued_at ON task_usage_hourly_dirty (enqueued_at);

-- Hours are UTC's whatever the session's time zone: half-hour zones would shift them otherwise.
CREATE FUNCTION task_usage_hour_bucket(ts timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT date_trunc('hour', ts AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
$$;

INSERT INTO schema_migrations (version) VALUES ('101_task_usage_hourly_schema');
