-- Spoils hourly rows, so that an engine has to write them: $1 ctids to delete,
-- $2 ctids to make wrong (text arrays).
with gone as (
  delete from task_usage_hourly where ctid = any ($1::tid[])
)
update task_usage_hourly set input_tokens = input_tokens + 1, event_count = event_count + 1 where ctid = any ($2::tid[])
