-- The pipeline's state row and the database's clock. Times are bounded, since they may be infinite.
select least(greatest(watermark_at, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00'),
       case when last_run_started_at is not null then least(greatest(last_run_started_at, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') end,
       case when last_run_finished_at is not null then least(greatest(last_run_finished_at, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') end,
       coalesce(last_run_rows, 0), coalesce(last_error, ''), clock_timestamp()
from task_usage_hourly_rollup_state
where id = 1
