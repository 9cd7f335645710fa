-- Which life of the database this is: its oid, when its server was started, and the tables' names, oids and file nodes;
-- and the database's clock.
-- $1 the tables' names (text[]). Catalogue look-ups alone; every role may ask.
select (select oid from pg_database where datname = current_database()),
       pg_postmaster_start_time(),
       coalesce(array_agg(n.name order by n.name), '{}'),
       coalesce(array_agg(c.oid order by n.name), '{}'),
       coalesce(array_agg(coalesce(pg_relation_filenode(c.oid), 0::oid) order by n.name), '{}'),
       clock_timestamp()
from unnest($1::text[]) as n(name)
join pg_class c on c.oid = to_regclass(quote_ident(n.name))
