-- Queue rows, counted to a bound, and the oldest entry. $1 bound.
select (select count(*) from (select from task_usage_hourly_dirty limit $1) q),
       (select min(enqueued_at) from task_usage_hourly_dirty)
