-- Load: a workspace with an agent, a runtime, a project and a few issues; $-free, so that Load can
-- run it on an empty database too. teardown.sql takes those away whose name starts with load-.
WITH w AS (
    INSERT INTO workspace (name, slug)
    SELECT CASE WHEN EXISTS (SELECT 1 FROM workspace) THEN 'load-workspace' ELSE 'workspace' END,
           'load-' || gen_random_uuid()
    RETURNING id
), a AS (
    INSERT INTO agent (workspace_id, name) SELECT id, 'agent' FROM w
), r AS (
    INSERT INTO agent_runtime (workspace_id, name) SELECT id, 'runtime' FROM w
), p AS (
    INSERT INTO project (workspace_id, title) SELECT id, 'project' FROM w RETURNING id, workspace_id
)
INSERT INTO issue (workspace_id, project_id, title)
SELECT p.workspace_id, p.id, 'issue ' || g FROM p, generate_series(1, 5) g
