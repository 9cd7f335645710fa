-- Load: a workspace gets another runtime, named so that delete_runtime may take it away again.
INSERT INTO agent_runtime (workspace_id, name)
SELECT id, 'load-runtime' FROM workspace ORDER BY random() LIMIT 1
