-- Where the next slice ends, by events and by what has to be read for them.
-- $1 from, $2 end, $3 events at most, $4 start of the pass, $5 usage rows to read at most,
-- $6 whether the engine comes to every event in its own time, as the function does.
-- Returns the first event, the event beyond the last that fits ($3), the first
-- event whose hour would make the slice read more than $5 rows (the first hour
-- always fits), and the number of events before $2, counted to $3.
-- A usage row counts where slice.sql reads its hour: when it was created, or,
-- created before the pass, when it was corrected. For the function, by its event alone.
-- Served by the indexes on updated_at and created_at alone.
with e as (
  (select created_at as at, created_at from task_usage
   where created_at >= $1 and created_at < $2 and (not $6 or updated_at is null)
   order by created_at limit $3 + 1)
  union all
  (select updated_at, created_at from task_usage
   where updated_at >= $1 and updated_at < $2 and ($6 or not (created_at >= $4 and created_at < $2))
   order by updated_at limit $3 + 1)
), o as (
  select at, created_at, row_number() over (order by at) as n from e order by at limit $3 + 1
), h as (
  select date_trunc('hour', created_at, 'UTC') as hour, min(at) as at from o where n <= $3 group by 1
), c as (
  select h.at, r.rows, sum(r.rows) over w as read, row_number() over w as ordinal
  from h cross join lateral (
    select count(*) as rows from (
      select from task_usage u
      where u.created_at >= h.hour and u.created_at < h.hour + interval '1 hour' limit $5 + 1) x) r
  window w as (order by h.at, h.hour)
)
select (select min(at) from o),
       (select at from o where n = $3 + 1),
       (select min(at) from c where read > $5 and ordinal > 1),
       (select count(*) from o where n <= $3)
