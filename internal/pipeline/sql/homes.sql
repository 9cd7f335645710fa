-- The schemas that hold all of some tables. $1 their names (text[]).
select n.nspname::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relname = any ($1::text[]) and c.relkind in ('r', 'p')
group by 1
having count(*) = cardinality($1::text[])
order by 1
