-- Raw usage that is in no bucket, since the runtime of its task was deleted; by workspace.
-- $1 time zone, $2 first date, $3 last date, $4 to $7 the bounds of interval.sql; $8 to $12 the workspaces, agents,
-- projects, providers (lower case) and models to keep, NULL for all.
-- One row a workspace: id and the sums of the four kinds of tokens, as text.
-- Served by the index on agent_task_queue (runtime_id), and from there by task_usage (task_id); or by task_usage (created_at).
select g.workspace_id::text, g.input_tokens::text, g.output_tokens::text, g.cache_read_tokens::text, g.cache_write_tokens::text
from (
  select a.workspace_id, sum(u.input_tokens) as input_tokens, sum(u.output_tokens) as output_tokens,
         sum(u.cache_read_tokens) as cache_read_tokens, sum(u.cache_write_tokens) as cache_write_tokens
  from {{.Schema}}.agent_task_queue q
  join {{.Schema}}.task_usage u on u.task_id = q.id
  join {{.Schema}}.agent a on a.id = q.agent_id
  where q.runtime_id is null
    and u.created_at >= $4::timestamptz and u.created_at < $5::timestamptz
    and case when u.created_at < $4::timestamptz or u.created_at >= $5::timestamptz then false
             when u.created_at >= $6::timestamptz and u.created_at < $7::timestamptz then true
             else (u.created_at at time zone $1::text)::date between $2::date and $3::date end
    and ($8::uuid[] is null or a.workspace_id = any ($8::uuid[]))
    and ($9::uuid[] is null or q.agent_id = any ($9::uuid[]))
    and ($10::uuid[] is null or (select i.project_id from {{.Schema}}.issue i where i.id = q.issue_id) = any ($10::uuid[]))
    and ($11::text[] is null or lower(u.provider) = any ($11::text[]))
    and ($12::text[] is null or u.model = any ($12::text[]))
  group by 1) g
