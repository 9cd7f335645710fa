-- Queue rows, counted to a bound, and the age of the oldest entry in seconds. $1 bound.
select (select count(*) from (select from task_usage_hourly_dirty limit $1) q),
       (select extract(epoch from clock_timestamp() - min(enqueued_at))::float8 from task_usage_hourly_dirty)
