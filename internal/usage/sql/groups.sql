-- The hourly table, summed over local dates.
-- $1 time zone, $2 first date, $3 last date, $4 to $7 the bounds of interval.sql; $8 whether by day;
-- $9 to $13 whether by agent, project, runtime, provider, model; $14 to $19 the workspaces, agents, projects, runtimes,
-- providers (lower case) and models to keep, NULL for all.
-- One row a group: day ('' for none), the keys (NULL where not asked for), and the sums, as text: they may be beyond bigint.
-- The range on bucket_hour is for the unique key, or with a workspace for its own index; the local date decides, but is worked
-- out near both ends only. Within CASE, since a time at the end of all time has no local one.
select coalesce(to_char(g.day, 'YYYY-MM-DD'), ''), g.workspace_id::text, g.agent_id::text, g.project_id::text, g.runtime_id::text,
       g.provider, g.model,
       g.input_tokens::text, g.output_tokens::text, g.cache_read_tokens::text, g.cache_write_tokens::text
{{- if .Costs}}
       , g.cost_usd_ticks::text
       , g.uncosted_input_tokens::text, g.uncosted_output_tokens::text
       , g.uncosted_cache_read_tokens::text, g.uncosted_cache_write_tokens::text
{{- end}}
from (
  select case when $8::boolean then (h.bucket_hour at time zone $1::text)::date end as day,
         h.workspace_id,
         case when $9::boolean then h.agent_id end as agent_id,
         case when $10::boolean then h.project_id end as project_id,
         case when $11::boolean then h.runtime_id end as runtime_id,
         case when $12::boolean then lower(h.provider) end as provider,
         case when $13::boolean then h.model end as model,
         sum(h.input_tokens) as input_tokens, sum(h.output_tokens) as output_tokens,
         sum(h.cache_read_tokens) as cache_read_tokens, sum(h.cache_write_tokens) as cache_write_tokens
{{- if .Costs}}
         , sum(h.cost_usd_ticks) as cost_usd_ticks
         , sum(coalesce(h.uncosted_input_tokens, h.input_tokens)) as uncosted_input_tokens
         , sum(coalesce(h.uncosted_output_tokens, h.output_tokens)) as uncosted_output_tokens
         , sum(coalesce(h.uncosted_cache_read_tokens, h.cache_read_tokens)) as uncosted_cache_read_tokens
         , sum(coalesce(h.uncosted_cache_write_tokens, h.cache_write_tokens)) as uncosted_cache_write_tokens
{{- end}}
  from {{.Schema}}.task_usage_hourly h
  where h.bucket_hour >= $4::timestamptz and h.bucket_hour < $5::timestamptz
    and case when h.bucket_hour < $4::timestamptz or h.bucket_hour >= $5::timestamptz then false
             when h.bucket_hour >= $6::timestamptz and h.bucket_hour < $7::timestamptz then true
             else (h.bucket_hour at time zone $1::text)::date between $2::date and $3::date end
    and ($14::uuid[] is null or h.workspace_id = any ($14::uuid[]))
    and ($15::uuid[] is null or h.agent_id = any ($15::uuid[]))
    and ($16::uuid[] is null or h.project_id = any ($16::uuid[]))
    and ($17::uuid[] is null or h.runtime_id = any ($17::uuid[]))
    and ($18::text[] is null or lower(h.provider) = any ($18::text[]))
    and ($19::text[] is null or h.model = any ($19::text[]))
  group by 1, 2, 3, 4, 5, 6, 7) g
