-- As many new events as five minutes of a busy installation bring: usage of new
-- tasks without an issue, so that they fall into about the same number of keys
-- whatever the history, and one correction in ten. $1 how many. Their time is six minutes ago.
with t as (
  insert into agent_task_queue (id, agent_id, issue_id, runtime_id, status, completed_at, created_at)
  select gen_random_uuid(), q.agent_id, null, q.runtime_id, 'completed', now(), now() - interval '6 minutes'
  from (select * from agent_task_queue where runtime_id is not null order by created_at desc limit $1) q
  returning id
), u as (
  insert into task_usage (id, task_id, provider, model, input_tokens, output_tokens, created_at, updated_at)
  select gen_random_uuid(), t.id, 'anthropic', 'model-aa', 100, 10, now() - interval '6 minutes', now() - interval '6 minutes'
  from t returning 1
), c as (
  update task_usage set output_tokens = output_tokens + 1, updated_at = now() - interval '6 minutes'
  where id in (select id from task_usage where created_at > now() - interval '3 hours' order by created_at desc limit $1 / 10)
  returning 1
)
select count(*) from u
