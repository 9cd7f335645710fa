-- Queue rows, counted to a bound, and the age of the oldest entry in seconds (bounded, since it may be infinite). $1 bound.
select (select count(*) from (select from task_usage_hourly_dirty limit $1) q),
       (select case when min(enqueued_at) is not null then extract(epoch from clock_timestamp()
                 - least(greatest(min(enqueued_at), '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00'))::float8 end
        from task_usage_hourly_dirty)
