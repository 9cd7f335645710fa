-- Changes nothing, and needs the rights on the tables that a backfill needs.
with inserted as (
  insert into task_usage_hourly (bucket_hour) select bucket_hour from task_usage_hourly where false
), updated as (
  update task_usage_hourly set updated_at = updated_at where false
), deleted as (
  delete from task_usage_hourly where false
), drained as (
  delete from task_usage_hourly_dirty where false
), locked as (
  update task_usage_hourly_dirty set enqueued_at = enqueued_at where false
), advanced as (
  update task_usage_hourly_rollup_state set watermark_at = watermark_at where false
)
select from task_usage, agent_task_queue, agent, issue where false
