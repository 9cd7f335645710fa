-- Takes a watermark that lies in the future back to where the hourly table is known to be true.
-- $1 the truthful point. Returns the watermark that was there.
with old as (select watermark_at from task_usage_hourly_rollup_state where id = 1 for update)
update task_usage_hourly_rollup_state s
set watermark_at = $1
from old
where s.id = 1 and old.watermark_at > clock_timestamp()
returning least(old.watermark_at, '9998-01-01 00:00:00+00')
