-- Relations as the search_path finds them, and what our role may see of them.
-- $1 names (text[]). $2, $3 the columns that have to be readable: table and column of each (text[]).
-- $4 the columns of the key (text[]).
-- One row a name: name, schema ('' where missing), columns in order, estimated rows, kind
-- (pg_class.relkind), owner, whether we are that owner, whether row-level security applies to us,
-- those of the columns that we may not read, and whether the key is there: unique, NULLS NOT
-- DISTINCT, on exactly its columns, under any name. Catalogue look-ups alone: it is asked in each slice.
select n.name,
       coalesce(s.nspname::text, ''),
       coalesce((select array_agg(a.attname::text order by a.attnum)
                 from pg_attribute a
                 where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '{}'),
       coalesce(c.reltuples::bigint, -1),
       coalesce(c.relkind::text, ''),
       coalesce(pg_get_userbyid(c.relowner)::text, ''),
       coalesce(pg_has_role(c.relowner, 'usage'), false),
       coalesce(row_security_active(c.oid), false),
       coalesce((select array_agg(a.attname::text order by a.attnum)
                 from unnest($2::text[], $3::text[]) as w(tab, col)
                 join pg_attribute a on a.attrelid = c.oid and a.attname = w.col and not a.attisdropped
                 where w.tab = n.name and not has_column_privilege(c.oid, a.attnum, 'select')), '{}'),
       exists (select from pg_index i
               where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate
                 and i.indpred is null and i.indexprs is null and i.indnullsnotdistinct
                 and i.indnkeyatts = cardinality($4::text[])
                 and (select array_agg(a.attname::text order by a.attname::text)
                      from unnest(i.indkey::int2[]) with ordinality as k(attnum, place)
                      join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                      where k.place <= i.indnkeyatts)
                   = (select array_agg(x order by x) from unnest($4::text[]) as x))
from unnest($1::text[]) as n(name)
left join pg_class c on c.oid = to_regclass(quote_ident(n.name))
left join pg_namespace s on s.oid = c.relnamespace
