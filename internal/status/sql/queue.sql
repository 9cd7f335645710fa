-- Queue rows, counted to a bound, and the first queued (bounded, since it may be infinite). $1 bound. Served by the index on (enqueued_at).
select (select count(*) from (select from task_usage_hourly_dirty limit $1) q),
       (select case when min(enqueued_at) is not null then least(greatest(min(enqueued_at), '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') end
        from task_usage_hourly_dirty)
