-- A window of events: $1 from, $2 events. Returns the first event from $1 on,
-- and the event after the last of the window; NULLs where there is none.
-- Served by the indexes on updated_at and created_at.
with e as (
  (select updated_at as at from task_usage where updated_at >= $1 order by updated_at limit $2 + 1)
  union all
  (select created_at from task_usage where updated_at is null and created_at >= $1 order by created_at limit $2 + 1)
)
select min(at), (select at from e order by at offset $2 limit 1) from e
