-- Tables as the search_path finds them. $1 names (text[]).
-- One row a name: name, schema ('' where missing), columns in order, estimated rows.
select n.name,
       coalesce(s.nspname::text, ''),
       coalesce((select array_agg(a.attname::text order by a.attnum)
                 from pg_attribute a
                 where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '{}'),
       coalesce(c.reltuples::bigint, -1)
from unnest($1::text[]) as n(name)
left join pg_class c on c.oid = to_regclass(quote_ident(n.name))
left join pg_namespace s on s.oid = c.relnamespace
