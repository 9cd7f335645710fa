-- From v0.3.17 the backend schedules the rollup itself and notes each execution here.
CREATE TABLE sys_cron_executions (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_name    text NOT NULL,
    status      text NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    error       text
);
CREATE INDEX idx_sys_cron_executions_job ON sys_cron_executions (job_name, started_at DESC);
INSERT INTO schema_migrations (version) VALUES ('118_sys_cron_executions');
