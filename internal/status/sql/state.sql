-- The pipeline's state row and the database's clock. The watermark is bounded, since it may be infinite.
select least(greatest(watermark_at, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00'),
       last_run_started_at, last_run_finished_at, coalesce(last_run_rows, 0), coalesce(last_error, ''), clock_timestamp()
from task_usage_hourly_rollup_state
where id = 1
