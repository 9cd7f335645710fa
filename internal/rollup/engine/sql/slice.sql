-- Rolls up the events of one slice: reads every usage row of the bucket hours
-- they touch once, goes on with those of the models they touch, since a key has
-- one model, and writes those hourly rows that changed.
-- It makes all hourly rows of these hours and models right, those without an event of the slice
-- too: what is counted before its time, in an hour that is read for something else, may since
-- have been moved to other keys by a transaction whose triggers did not see it.
-- $1 from, $2 to: the slice, by event time (updated_at, or created_at where that is NULL).
-- $3 start of the pass: hours created in [$3, $1) were read in this pass and hold nothing new.
-- $4 the bucket hours to read (timestamptz[]), where they are known: a part of
-- those that the events of one moment touch. NULL: those of the slice's events.
-- Returns hourly rows written, hourly rows deleted, usage rows counted.
-- LATERAL with OFFSET 0 keeps the plan on the indexes (task_usage by created_at,
-- tasks and issues by primary key) whatever the estimates say.
with touched as (
  select unnest($4::timestamptz[]) as hour, null::text[] as models, null::uuid[] as agents
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
  where $4::timestamptz[] is null
  group by 1
), counted as (
  select t.hour as bucket_hour, a.workspace_id, q.runtime_id, q.agent_id, i.project_id, u.provider, u.model,
{{template "sums" .}}
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
{{template "reconcile" .}}
)
select (select count(*) from written), (select count(*) from gone), (select coalesce(sum(event_count), 0) from counted)::bigint
