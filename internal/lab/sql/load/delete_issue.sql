-- Load: an issue is deleted, its tasks and their usage with it; another one takes its place.
-- Serves: its primary key from a random point.
WITH gone AS (
    DELETE FROM issue
    WHERE id = (SELECT id FROM issue WHERE id >= (SELECT gen_random_uuid()) ORDER BY id LIMIT 1)
    RETURNING workspace_id, project_id
)
INSERT INTO issue (workspace_id, project_id, title) SELECT workspace_id, project_id, 'another issue' FROM gone
