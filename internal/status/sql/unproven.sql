-- What lies in bucket hours that are not proven: usage rows, counted to a bound, and whether there are hourly rows whose agent exists.
-- $1, $2 the beginnings and ends of the stretches of hours (timestamptz[], -infinity and infinity where they have none), $3 bound.
-- Served by the index on task_usage (created_at) and by the hourly table's unique index.
select (select count(*) from (
          select from unnest($1::timestamptz[], $2::timestamptz[]) as r(a, b)
          cross join lateral (select from task_usage u where u.created_at >= r.a and u.created_at < r.b limit $3) u
          limit $3) n),
       exists (select from unnest($1::timestamptz[], $2::timestamptz[]) as r(a, b)
               cross join lateral (
                 select from task_usage_hourly h
                 where h.bucket_hour >= r.a and h.bucket_hour < r.b and exists (select from agent a where a.id = h.agent_id)
                 limit 1) h)
