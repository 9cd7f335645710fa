-- Load: an issue moves to another project of its workspace, or to none, and all its tasks' usage with it.
-- Serves: issue's primary key from a random point; project is small.
WITH i AS (
    SELECT id, workspace_id FROM issue WHERE id >= (SELECT gen_random_uuid()) ORDER BY id LIMIT 1
)
UPDATE issue SET project_id = CASE WHEN (SELECT random()) < 0.7 THEN (
    SELECT id FROM project WHERE workspace_id = (SELECT workspace_id FROM i) ORDER BY random() LIMIT 1) END
WHERE id = (SELECT id FROM i)
