-- part: the bucket hours and models that the events of a slice touch, and the sums of all keys they have.
-- Parameters as in slice.sql.
with touched as (
  select unnest($5::timestamptz[]) as hour, null::text[] as models, null::uuid[] as agents
  union all
  select date_trunc('hour', e.created_at, 'UTC'), array_agg(distinct e.model), null
  from (
    -- Hours created in the slice, whenever their rows were corrected: a correction
    -- that comes later in the pass is passed over as read.
    select created_at, model from task_usage where created_at >= $1 and created_at < $2
    union all
    -- Hours that the pass has not read, corrected in the slice.
    select created_at, model from task_usage
    where updated_at >= $1 and updated_at < $2 and not (created_at >= $3 and created_at < $2)
  ) e
  where $5::timestamptz[] is null
  group by 1
), counted as (
  select t.hour as bucket_hour, a.workspace_id, q.runtime_id, q.agent_id, i.project_id, u.provider, u.model,
-- include sums
         , bool_or(coalesce(u.updated_at, u.created_at) >= $1 and coalesce(u.updated_at, u.created_at) < $4) as dirty
  from touched t
  cross join lateral (
    select * from task_usage r
    where r.created_at >= t.hour and r.created_at < t.hour + interval '1 hour'
      and (t.models is null or r.model = any (t.models)) offset 0) u
  cross join lateral (
    select k.agent_id, k.runtime_id, k.issue_id from agent_task_queue k
    where k.id = u.task_id offset 0) q
  join agent a on a.id = q.agent_id
  left join lateral (
    select s.project_id from issue s where s.id = q.issue_id offset 0) i on true
  where q.runtime_id is not null
  group by t.hour, a.workspace_id, q.runtime_id, q.agent_id, i.project_id, u.provider, u.model
