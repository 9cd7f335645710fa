-- Load: one of the app's maintenance commands: some hundred usage rows get the same updated_at.
-- Serves: the primary key, onwards from a random point.
UPDATE task_usage SET input_tokens = input_tokens + 1, updated_at = now()
WHERE id IN (SELECT id FROM task_usage WHERE id >= (SELECT gen_random_uuid()) ORDER BY id LIMIT 300)
