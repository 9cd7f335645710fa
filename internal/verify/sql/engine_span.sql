-- The oldest event, the newest event, and where the last $1 events begin.
-- Served by the indexes on updated_at and created_at.
with last as (
  (select updated_at as at from task_usage where updated_at is not null order by updated_at desc limit $1)
  union all
  (select created_at from task_usage where updated_at is null order by created_at desc limit $1)
)
select least((select min(updated_at) from task_usage where updated_at is not null),
             (select min(created_at) from task_usage where updated_at is null)),
       (select max(at) from last),
       (select min(at) from (select at from last order by at desc limit $1) l)
