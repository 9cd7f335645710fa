-- Load: a workspace gets another runtime and a system agent on it, named so that delete_runtime may
-- take them away again.
WITH w AS (
    SELECT id FROM workspace ORDER BY random() LIMIT 1
), r AS (
    INSERT INTO agent_runtime (workspace_id, name) SELECT id, 'load-runtime' FROM w RETURNING id, workspace_id
)
INSERT INTO agent (workspace_id, runtime_id, name, is_system) SELECT workspace_id, id, 'load-system-agent', true FROM r
