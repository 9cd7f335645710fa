-- Today's date in a time zone, and up to where usage is rolled up.
-- $1 time zone. One row, none without a state row: today (YYYY-MM-DD), the watermark, the watermark's local time.
-- The watermark is cut to years that every client can show.
select to_char(now() at time zone $1::text, 'YYYY-MM-DD'), s.mark, s.mark at time zone $1::text
from (
  select least(greatest(watermark_at, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') as mark
  from :schema.task_usage_hourly_rollup_state
  where id = 1) s
