-- Load: the provider reports the cost of one of the latest 200 usage rows, or takes it back.
-- Serves: created_at backwards. Generations 213 and 272 only.
UPDATE task_usage
SET cost_usd_ticks = CASE WHEN random() < 0.8 THEN (random() * 5e9)::bigint END, updated_at = now()
WHERE id = (SELECT id FROM task_usage ORDER BY created_at DESC OFFSET (SELECT (random() * 200)::int) LIMIT 1)
