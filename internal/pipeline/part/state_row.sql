  -- part: the pipeline's state row, or no row; its times bounded, since they may be infinite.
  select least(greatest(watermark_at, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') as watermark,
         watermark_at as unbounded,
         case when last_run_started_at is not null then least(greatest(last_run_started_at, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') end as started,
         case when last_run_finished_at is not null then least(greatest(last_run_finished_at, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') end as finished,
         coalesce(last_run_rows, 0) as rows, coalesce(last_error, '') as last_error
  from {{if .}}{{.}}.{{end}}task_usage_hourly_rollup_state
  where id = 1
