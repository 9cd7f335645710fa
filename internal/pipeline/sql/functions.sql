-- Functions as the search_path finds them. $1 names (text[]).
-- One row a function: name, schema, source text.
select p.proname::text, s.nspname::text, p.prosrc
from pg_proc p
join pg_namespace s on s.oid = p.pronamespace
where p.proname = any($1::text[])
  and pg_function_is_visible(p.oid)
