-- What five minutes bring: usage of new tasks without an issue, so that it falls
-- into about the same number of keys whatever the history, and for every ten of
-- them a correction of usage that their hour has already.
-- $1 how many new tasks, $2 when.
with t as (
  insert into agent_task_queue (id, agent_id, issue_id, runtime_id, status, completed_at, created_at)
  select gen_random_uuid(), q.agent_id, null, q.runtime_id, 'completed', $2::timestamptz, $2::timestamptz
  from (select agent_id, runtime_id from agent_task_queue where runtime_id is not null limit $1) q
  returning id
), u as (
  insert into task_usage (id, task_id, provider, model, input_tokens, output_tokens, created_at, updated_at)
  select gen_random_uuid(), t.id, 'anthropic', 'model-aa', 100, 10, $2::timestamptz, $2::timestamptz
  from t returning 1
), c as (
  update task_usage set output_tokens = output_tokens + 1, updated_at = $2::timestamptz
  where id in (
    select id from task_usage
    where created_at >= date_trunc('hour', $2::timestamptz, 'UTC') and created_at < $2::timestamptz
    order by created_at desc limit $1 / 10)
  returning 1
)
select (select count(*) from u) + (select count(*) from c)
