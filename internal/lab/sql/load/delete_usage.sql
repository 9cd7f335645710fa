-- Load: a usage row is deleted. Serves: its primary key from a random point.
DELETE FROM task_usage
WHERE id = (SELECT id FROM task_usage WHERE id >= (SELECT gen_random_uuid()) ORDER BY id LIMIT 1)
