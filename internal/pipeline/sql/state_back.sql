-- Takes the watermark back to a point that it has passed, where the database's clock was set back. $1 the point.
-- Returns where the watermark is then, bounded, since somebody may have made it infinite.
update task_usage_hourly_rollup_state
set watermark_at = least(watermark_at, $1)
where id = 1
returning least(watermark_at, '9998-01-01 00:00:00+00')
