-- Multica's core tables as far as usage hangs on them, as v0.3.4 leaves them: no hourly
-- pipeline yet, the two legacy daily rollups instead.
-- Serves: generation 097, and the base of every later one.

CREATE TABLE schema_migrations (
    version    text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE workspace (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name       text NOT NULL,
    slug       text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE agent_runtime (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    name         text NOT NULL,
    provider     text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_agent_runtime_workspace ON agent_runtime (workspace_id);

CREATE TABLE agent (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    runtime_id   uuid REFERENCES agent_runtime ON DELETE SET NULL,
    name         text NOT NULL,
    is_system    boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_agent_runtime ON agent (runtime_id);
CREATE INDEX idx_agent_workspace ON agent (workspace_id);

CREATE TABLE project (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    title        text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_project_workspace ON project (workspace_id);

CREATE TABLE issue (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    project_id   uuid REFERENCES project ON DELETE SET NULL,
    title        text NOT NULL,
    status       text NOT NULL DEFAULT 'todo',
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_issue_workspace ON issue (workspace_id);
CREATE INDEX idx_issue_project ON issue (project_id);

CREATE TABLE agent_task_queue (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id     uuid NOT NULL REFERENCES agent ON DELETE CASCADE,
    issue_id     uuid REFERENCES issue ON DELETE CASCADE,
    runtime_id   uuid NOT NULL REFERENCES agent_runtime ON DELETE CASCADE,
    status       text NOT NULL DEFAULT 'queued',
    created_at   timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz
);
CREATE INDEX idx_agent_task_queue_agent ON agent_task_queue (agent_id);
CREATE INDEX idx_agent_task_queue_runtime ON agent_task_queue (runtime_id);
CREATE INDEX idx_agent_task_queue_issue ON agent_task_queue (issue_id);

CREATE TABLE task_usage (
    id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    task_id            uuid NOT NULL REFERENCES agent_task_queue ON DELETE CASCADE,
    provider           text NOT NULL DEFAULT '',
    model              text NOT NULL,
    input_tokens       bigint NOT NULL DEFAULT 0,
    output_tokens      bigint NOT NULL DEFAULT 0,
    cache_read_tokens  bigint NOT NULL DEFAULT 0,
    cache_write_tokens bigint NOT NULL DEFAULT 0,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz DEFAULT now(),
    UNIQUE (task_id, provider, model)
);
CREATE INDEX idx_task_usage_task_id ON task_usage (task_id);
CREATE INDEX idx_task_usage_created_at ON task_usage (created_at);
CREATE INDEX idx_task_usage_updated_at ON task_usage (updated_at);
CREATE INDEX idx_task_usage_created_at_no_updated_at ON task_usage (created_at) WHERE updated_at IS NULL;

CREATE TABLE task_usage_daily (
    bucket_date        date NOT NULL,
    workspace_id       uuid NOT NULL,
    runtime_id         uuid NOT NULL,
    provider           text NOT NULL,
    model              text NOT NULL,
    input_tokens       bigint NOT NULL DEFAULT 0,
    output_tokens      bigint NOT NULL DEFAULT 0,
    cache_read_tokens  bigint NOT NULL DEFAULT 0,
    cache_write_tokens bigint NOT NULL DEFAULT 0,
    event_count        bigint NOT NULL DEFAULT 0,
    updated_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (bucket_date, workspace_id, runtime_id, provider, model)
);

CREATE TABLE task_usage_dashboard_daily (
    bucket_date        date NOT NULL,
    workspace_id       uuid NOT NULL,
    agent_id           uuid NOT NULL,
    project_id         uuid,
    model              text NOT NULL,
    input_tokens       bigint NOT NULL DEFAULT 0,
    output_tokens      bigint NOT NULL DEFAULT 0,
    cache_read_tokens  bigint NOT NULL DEFAULT 0,
    cache_write_tokens bigint NOT NULL DEFAULT 0,
    task_count         bigint NOT NULL DEFAULT 0,
    updated_at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (bucket_date, workspace_id, agent_id, project_id, model)
);

INSERT INTO schema_migrations (version) VALUES
    ('001_init'), ('032_task_usage'), ('072_task_usage_updated_at'), ('084_task_usage_daily'), ('097_task_usage_dashboard_daily');
