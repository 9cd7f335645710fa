-- Columns of task_usage that lead a valid plain btree index.
select distinct a.attname::text
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_am m on m.oid = c.relam and m.amname = 'btree'
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
where i.indrelid = to_regclass('task_usage') and i.indisvalid and i.indpred is null
