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
  select {{.Key ""}}, {{.Counters ""}} from counted
  except
  select {{.Key ""}}, {{.Counters ""}} from present
),
written as (
{{template "insert" .}}
{{template "replace" .}}
  returning 1
)
, gone as (
  delete from task_usage_hourly
  where ctid = any (array(
    select (array_agg(k.at))[1]
    from (
      select at, {{.Key ""}} from present
      union all
      select null, {{.Key ""}} from counted
    ) k
    group by {{.Key "k"}}
    having count(*) = count(k.at))) -- none of them counted
    and exists (select from agent a where a.id = agent_id)
  returning 1
