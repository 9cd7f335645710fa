-- Whether the unique keys that the set engine relies on are there: the hourly
-- table's and the queue's (seven columns, NULLS NOT DISTINCT), and task_usage's
-- (task_id, provider, model), by which count(*) is count(distinct task_id).
with keys as (
  select i.indrelid, c.relname, i.indnullsnotdistinct,
         (select array_agg(a.attname::text order by a.attname)
          from unnest(i.indkey::int2[]) k join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k) as cols
  from pg_index i
  join pg_class c on c.oid = i.indexrelid
  where i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
    and i.indrelid in (to_regclass('task_usage'), to_regclass('task_usage_hourly'), to_regclass('task_usage_hourly_dirty'))
)
select exists (select from keys where relname = 'uq_task_usage_hourly_key' and indnullsnotdistinct
                 and cols = '{agent_id,bucket_hour,model,project_id,provider,runtime_id,workspace_id}'),
       exists (select from keys where relname = 'uq_task_usage_hourly_dirty_key' and indnullsnotdistinct
                 and cols = '{agent_id,bucket_hour,model,project_id,provider,runtime_id,workspace_id}'),
       exists (select from keys where indrelid = to_regclass('task_usage') and cols = '{model,provider,task_id}')
