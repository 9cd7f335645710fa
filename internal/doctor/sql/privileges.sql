-- What the current role lacks on the pipeline's objects, wherever they are.
-- $1, $2 the columns that are needed of tables of which nothing else is: table and column of each (text[]).
-- One row each: kind (schema, table, function), schema, name (a function's with its arguments), privileges.
-- The catalogue shows names to everybody; where task_usage is in several schemas, the search_path's counts.
with home as (
  select n.oid, n.nspname::text as schema
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relname = 'task_usage' and c.relkind in ('r', 'p')
  order by (c.oid = to_regclass('task_usage')) desc nulls last, (n.nspname = 'public') desc, n.nspname
  limit 1
), wanted (name, privilege) as (
  values ('task_usage', 'SELECT'), ('schema_migrations', 'SELECT'), ('sys_cron_executions', 'SELECT'),
         ('task_usage_hourly', 'SELECT'), ('task_usage_hourly', 'INSERT'),
         ('task_usage_hourly', 'UPDATE'), ('task_usage_hourly', 'DELETE'),
         ('task_usage_hourly_dirty', 'SELECT'), ('task_usage_hourly_dirty', 'INSERT'),
         ('task_usage_hourly_dirty', 'UPDATE'), ('task_usage_hourly_dirty', 'DELETE'),
         ('task_usage_hourly_rollup_state', 'SELECT'), ('task_usage_hourly_rollup_state', 'UPDATE')
)
select 'schema', h.schema, h.schema, 'usage'
from home h
where not has_schema_privilege(h.oid, 'usage')
union all
(select 'table', h.schema, w.name, string_agg(lower(w.privilege), ', ' order by w.privilege)
 from home h
 join pg_class c on c.relnamespace = h.oid and c.relkind in ('r', 'p')
 join wanted w on w.name = c.relname
 where not has_table_privilege(c.oid, w.privilege)
 group by 2, 3)
union all
(select 'table', h.schema, w.tab, 'select (' || string_agg(quote_ident(w.col), ', ' order by w.n) || ')'
 from home h
 join pg_class c on c.relnamespace = h.oid and c.relkind in ('r', 'p')
 join unnest($1::text[], $2::text[]) with ordinality as w (tab, col, n) on w.tab = c.relname
 join pg_attribute a on a.attrelid = c.oid and a.attname = w.col and not a.attisdropped
 where not has_column_privilege(c.oid, a.attnum, 'select')
 group by 2, 3)
union all
(select 'function', h.schema, p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', 'execute'
 from home h
 join pg_proc p on p.pronamespace = h.oid
 where p.proname in ('rollup_task_usage_hourly_window', 'task_usage_hour_bucket')
   and not has_function_privilege(p.oid, 'execute'))
