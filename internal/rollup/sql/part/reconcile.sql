-- part: makes the hourly rows of the hours, agents and models of the CTE touched (NULL: all of them) what the
-- CTE counted says: writes what differs, deletes what is not counted. Rows of an agent that does not exist
-- are kept: its usage went with it, so they are the only record of what was spent. Whether it exists is
-- asked in this statement, whose one snapshot has an agent with its usage or without both.
), present as materialized (
  select h.*
  from touched t
  cross join lateral (
    select x.ctid as at, x.* from task_usage_hourly x
    where x.bucket_hour = t.hour and (t.agents is null or x.agent_id = any (t.agents))
      and (t.models is null or x.model = any (t.models)) offset 0) h
), wanted as (
  -- Set operations and grouping throughout: no estimate can make them slow, and NULLs are equal.
  select bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
         cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, -- 213
         uncosted_cache_read_tokens, uncosted_cache_write_tokens, -- 213
         input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, events, events as tasks
  from counted
  except
  select bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
         cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, -- 213
         uncosted_cache_read_tokens, uncosted_cache_write_tokens, -- 213
         input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, event_count, task_count
  from present
),
written as (
-- include insert
-- include replace
  returning 1
)
, gone as (
  delete from task_usage_hourly
  where ctid = any (array(
    select (array_agg(k.at))[1]
    from (
      select at, bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model from present
      union all
      select null, bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model from counted
    ) k
    group by k.bucket_hour, k.workspace_id, k.runtime_id, k.agent_id, k.project_id, k.provider, k.model
    having count(*) = count(k.at))) -- none of them counted
    and exists (select from agent a where a.id = agent_id)
  returning 1
