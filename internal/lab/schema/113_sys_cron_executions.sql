-- From v0.3.17 the backend schedules the rollup itself and keeps one row for each execution here.
-- A lease is stale where status is RUNNING and stale_after is past.
CREATE TABLE sys_cron_executions (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_name      text NOT NULL,
    scope_kind    text NOT NULL DEFAULT 'global',
    scope_id      text NOT NULL DEFAULT 'global',
    plan_time     timestamptz NOT NULL,
    status        text NOT NULL CHECK (status IN ('RUNNING', 'SUCCESS', 'FAILED')),
    attempt       int NOT NULL DEFAULT 1,
    max_attempts  int NOT NULL DEFAULT 3,
    next_retry_at timestamptz,
    runner_id     text,
    lease_token   uuid,
    heartbeat_at  timestamptz,
    stale_after   timestamptz,
    started_at    timestamptz,
    finished_at   timestamptz,
    duration_ms   int,
    rows_affected bigint,
    result        jsonb NOT NULL DEFAULT '{}',
    error_code    text,
    error_msg     text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (job_name, scope_kind, scope_id, plan_time)
);
INSERT INTO schema_migrations (version) VALUES ('113_sys_cron_executions');
