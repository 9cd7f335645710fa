-- The pipeline's state row: watermark (bounded, since it may be infinite), last run's error, and the clock.
select least(greatest(watermark_at, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00'),
       coalesce(last_error, ''), clock_timestamp()
from task_usage_hourly_rollup_state
where id = 1
