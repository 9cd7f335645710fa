-- Recounts the raw usage of some bucket hours and compares it with their hourly rows.
-- $1, $2: starts and ends of stretches of hours (arrays). $3, $4: starts and ends of the windows of event time
-- that are owed (arrays). $5: bucket hours before it were given up.
-- Returns a first row with the kind '' and, where the raw counters stand, usage rows
-- recounted, hourly rows read, and how many keys differ without being wrong: ahead of
-- the watermark, queued, owed, given up, not recomputed since the cost columns came;
-- kept rows (of an agent that does not exist: nobody can recount them), their tokens,
-- the watermark and the agents of the kept rows. Then a row for each wrong key: kind (missing, surplus,
-- differing), the key, raw counters, hourly counters.
-- It is one statement, and so one snapshot: whoever rolls up moves the watermark,
-- or takes from the queue, in the transaction that writes the hourly rows.
-- Served by task_usage's index on created_at, primary keys, and the unique keys of
-- the hourly table and of the queue. LATERAL with OFFSET 0 keeps the cost with the
-- chunk: the planner would read whole tables for each.
with mark as materialized (
{{template "state_row"}}
), counted as (
  select date_trunc('hour', u.created_at, 'UTC') as bucket_hour, a.workspace_id, q.runtime_id, q.agent_id,
         i.project_id, u.provider, u.model,
         array[{{.Recounts}}]::numeric[] as want, -- a sum may be beyond a bigint
         max(coalesce(u.updated_at, u.created_at)) as latest,
         bool_or($3::timestamptz[] <> '{}' and exists (
           select from unnest($3::timestamptz[], $4::timestamptz[]) as w (f, t)
           where coalesce(u.updated_at, u.created_at) >= w.f and coalesce(u.updated_at, u.created_at) < w.t)) as owed
  from unnest($1::timestamptz[], $2::timestamptz[]) as s (f, t)
  cross join lateral (
    select * from task_usage r
    where r.created_at >= s.f and r.created_at < s.t offset 0) u
  cross join lateral (
    select k.agent_id, k.runtime_id, k.issue_id from agent_task_queue k
    where k.id = u.task_id offset 0) q
  cross join lateral (
    select g.workspace_id from agent g where g.id = q.agent_id offset 0) a
  left join lateral (
    select s.project_id from issue s where s.id = q.issue_id offset 0) i on true
  where q.runtime_id is not null
  group by 1, 2, 3, 4, 5, 6, 7
), hourly as (
  select {{.Key ""}},
         array[{{.Counters ""}}]::numeric[] as got
  from unnest($1::timestamptz[], $2::timestamptz[]) as s (f, t)
  cross join lateral (
    select * from task_usage_hourly r
    where r.bucket_hour >= s.f and r.bucket_hour < s.t offset 0) h
), compared as materialized (
  select coalesce(c.bucket_hour, h.bucket_hour) as bucket_hour,
         coalesce(c.workspace_id, h.workspace_id) as workspace_id,
         coalesce(c.runtime_id, h.runtime_id) as runtime_id,
         coalesce(c.agent_id, h.agent_id) as agent_id,
         coalesce(c.project_id, h.project_id) as project_id,
         coalesce(c.provider, h.provider) as provider,
         coalesce(c.model, h.model) as model,
         c.want, h.got, c.latest, c.owed
  from counted c
  -- A full join wants operators that can be hashed, which IS NOT DISTINCT FROM is not.
  full join hourly h
    on h.bucket_hour = c.bucket_hour and h.workspace_id = c.workspace_id and h.runtime_id = c.runtime_id
   and h.agent_id = c.agent_id and h.provider = c.provider and h.model = c.model
   and (h.project_id is null) = (c.project_id is null)
   and coalesce(h.project_id, '00000000-0000-0000-0000-000000000000') = coalesce(c.project_id, '00000000-0000-0000-0000-000000000000')
), odd as materialized (
  select k.*,
         case
           when k.want is null and not exists (select from agent a where a.id = k.agent_id) then 'kept'
           {{- if .FirstNullable}}
           when k.want[1:{{.NeverNull}}] = k.got[1:{{.NeverNull}}] and k.got[{{.FirstNullable}}] is null then 'not recomputed'
           {{- end}}
           when k.bucket_hour < $5 then 'given up'
           when k.latest >= (select watermark from mark) then 'ahead'
           when k.owed then 'owed'
           when exists (
             select from task_usage_hourly_dirty d
             where d.bucket_hour = k.bucket_hour and d.workspace_id = k.workspace_id
               and d.runtime_id = k.runtime_id and d.agent_id = k.agent_id
               and d.project_id is not distinct from k.project_id
               and d.provider = k.provider and d.model = k.model) then 'queued'
           when k.want is null then 'surplus'
           when k.got is null then 'missing'
           else 'differing'
         end as kind
  from compared k
  where k.want is distinct from k.got
)
select '' as kind, null::timestamptz as bucket_hour, '' as workspace_id, '' as runtime_id, '' as agent_id, '' as project_id,
       '' as provider, '' as model,
       array[(select coalesce(sum(want[{{.Position "event_count"}}]), 0) from compared), (select count(got) from compared),
             (select count(*) from odd where kind = 'ahead'), (select count(*) from odd where kind = 'queued'),
             (select count(*) from odd where kind = 'owed'), (select count(*) from odd where kind = 'given up'),
             (select count(*) from odd where kind = 'not recomputed'),
             (select count(*) from odd where kind = 'kept'),
             (select least(coalesce(sum(got[{{.Position "input_tokens"}}] + got[{{.Position "output_tokens"}}] + got[{{.Position "cache_read_tokens"}}] + got[{{.Position "cache_write_tokens"}}]), 0), 9223372036854775807) from odd where kind = 'kept')
            ]::bigint[] as want,
       null::bigint[] as got, (select watermark from mark) as watermark,
       (select array_agg(distinct agent_id::text) from odd where kind = 'kept') as agents
union all
select kind, bucket_hour, workspace_id::text, runtime_id::text, agent_id::text, coalesce(project_id::text, ''),
       provider, model,
       (select array_agg(least(n, 9223372036854775807)::bigint order by place) from unnest(want) with ordinality as w(n, place)),
       got::bigint[], null, null
from odd
where kind in ('missing', 'surplus', 'differing')
