-- Tasks as wide as v0.4.32 has them: 53 columns and 20 indexes. Many migrations up to 272 bring
-- them in parts; nothing that matters here depends on which, so the lab adds them in one go and
-- notes no version for it. The names are the lab's own.
ALTER TABLE agent_task_queue
    ADD COLUMN workspace_id uuid, ADD COLUMN requested_by uuid, ADD COLUMN parent_task_id uuid,
    ADD COLUMN root_task_id uuid, ADD COLUMN comment_id uuid, ADD COLUMN chat_id uuid,
    ADD COLUMN schedule_id uuid, ADD COLUMN lease_id uuid,
    ADD COLUMN session_id text, ADD COLUMN working_directory text, ADD COLUMN branch text,
    ADD COLUMN summary text, ADD COLUMN repository text, ADD COLUMN base_commit text,
    ADD COLUMN head_commit text, ADD COLUMN pull_request text, ADD COLUMN origin text,
    ADD COLUMN origin_reference text, ADD COLUMN error_kind text, ADD COLUMN error_detail text,
    ADD COLUMN runner_version text, ADD COLUMN agent_version text, ADD COLUMN locale text,
    ADD COLUMN provider_hint text, ADD COLUMN model_hint text, ADD COLUMN sandbox text,
    ADD COLUMN context jsonb, ADD COLUMN result jsonb, ADD COLUMN overlays jsonb,
    ADD COLUMN queued_at timestamptz, ADD COLUMN dispatched_at timestamptz, ADD COLUMN claimed_at timestamptz,
    ADD COLUMN started_at timestamptz, ADD COLUMN heartbeat_at timestamptz, ADD COLUMN cancelled_at timestamptz,
    ADD COLUMN updated_at timestamptz,
    ADD COLUMN priority int NOT NULL DEFAULT 0, ADD COLUMN attempt int NOT NULL DEFAULT 1,
    ADD COLUMN max_attempts int NOT NULL DEFAULT 3, ADD COLUMN timeout_seconds int, ADD COLUMN exit_code int,
    ADD COLUMN turns int, ADD COLUMN output_bytes bigint,
    ADD COLUMN in_background boolean NOT NULL DEFAULT false, ADD COLUMN is_retry boolean NOT NULL DEFAULT false,
    ADD COLUMN is_archived boolean NOT NULL DEFAULT false;

CREATE INDEX idx_agent_task_queue_workspace ON agent_task_queue (workspace_id, created_at);
CREATE INDEX idx_agent_task_queue_status ON agent_task_queue (status, created_at);
CREATE INDEX idx_agent_task_queue_runtime_status ON agent_task_queue (runtime_id, status);
CREATE INDEX idx_agent_task_queue_agent_created ON agent_task_queue (agent_id, created_at DESC);
CREATE INDEX idx_agent_task_queue_issue_created ON agent_task_queue (issue_id, created_at DESC);
CREATE INDEX idx_agent_task_queue_requested_by ON agent_task_queue (requested_by, created_at);
CREATE INDEX idx_agent_task_queue_parent ON agent_task_queue (parent_task_id) WHERE parent_task_id IS NOT NULL;
CREATE INDEX idx_agent_task_queue_root ON agent_task_queue (root_task_id) WHERE root_task_id IS NOT NULL;
CREATE INDEX idx_agent_task_queue_chat ON agent_task_queue (chat_id) WHERE chat_id IS NOT NULL;
CREATE INDEX idx_agent_task_queue_schedule ON agent_task_queue (schedule_id) WHERE schedule_id IS NOT NULL;
CREATE INDEX idx_agent_task_queue_session ON agent_task_queue (session_id) WHERE session_id IS NOT NULL;
CREATE UNIQUE INDEX uq_agent_task_queue_lease ON agent_task_queue (lease_id) WHERE lease_id IS NOT NULL;
CREATE INDEX idx_agent_task_queue_completed ON agent_task_queue (completed_at);
CREATE INDEX idx_agent_task_queue_updated ON agent_task_queue (updated_at);
CREATE INDEX idx_agent_task_queue_branch ON agent_task_queue (repository, branch);
CREATE INDEX idx_agent_task_queue_waiting ON agent_task_queue (runtime_id, priority DESC, created_at) WHERE status = 'queued';
