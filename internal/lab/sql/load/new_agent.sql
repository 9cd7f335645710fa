-- Load: a workspace gets another agent, named so that delete_agent may take it away again.
INSERT INTO agent (workspace_id, name)
SELECT id, 'load-agent' FROM workspace ORDER BY random() LIMIT 1
