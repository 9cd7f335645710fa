-- Events of a window and queue rows that the function would take with it.
-- $1 from, $2 to, $3 count that far at most.
select (select count(*) from (
          (select from task_usage where updated_at >= $1 and updated_at < $2 limit $3)
          union all
          (select from task_usage where updated_at is null and created_at >= $1 and created_at < $2 limit $3)) e),
       (select count(*) from (select from task_usage_hourly_dirty where enqueued_at < $2 limit $3) q)
