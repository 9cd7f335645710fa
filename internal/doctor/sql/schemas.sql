-- The schemas that hold a table task_usage.
select n.nspname::text
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relname = 'task_usage' and c.relkind in ('r', 'p')
order by 1
