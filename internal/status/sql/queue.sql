-- Queue rows, counted to a bound, and the first queued. $1 bound. Served by the index on (enqueued_at).
select (select count(*) from (select from task_usage_hourly_dirty limit $1) q),
       (select min(enqueued_at) from task_usage_hourly_dirty)
