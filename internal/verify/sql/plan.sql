-- Where the next chunk begins and ends.
-- $1 from: an hour, $2 rows at most, of either side.
-- Returns the first hour from $1 on that has raw usage or hourly rows, and the
-- creation time or hour of the row beyond the last that fits; NULLs where there is none.
-- Served by task_usage's index on created_at and by the hourly table's unique
-- key, which begins with bucket_hour.
select date_trunc('hour', least(
         (select created_at from task_usage where created_at >= $1 order by created_at limit 1),
         (select bucket_hour from task_usage_hourly where bucket_hour >= $1 order by bucket_hour limit 1)), 'UTC'),
       date_trunc('hour', least(
         (select created_at from task_usage where created_at >= $1 order by created_at offset $2 limit 1),
         (select bucket_hour from task_usage_hourly where bucket_hour >= $1 order by bucket_hour offset $2 limit 1)), 'UTC')
