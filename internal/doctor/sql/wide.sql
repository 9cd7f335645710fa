-- Tables of which our role may read everything though it needs a few columns, because a grant to the role itself
-- says so: what it has as an owner, a superuser or a member of another role is not of role.sql's making.
-- $1, $2 the columns that are needed: table and column of each (text[]).
-- One row a table: schema, name, how many columns are readable beside those to keep, and the list of these: the
-- needed ones and those of a grant of columns, such as role-names.sql makes, which the revoke takes away too.
select n.nspname::text, c.relname::text, count(*) filter (where not k.keep),
       string_agg(quote_ident(a.attname), ', ' order by a.attnum) filter (where k.keep)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
cross join lateral (
  select exists (select from unnest($1::text[], $2::text[]) as w (tab, col) where w.tab = c.relname and w.col = a.attname)
         or exists (select from aclexplode(a.attacl) e
                    where e.grantee = (select oid from pg_roles where rolname = current_user) and e.privilege_type = 'SELECT') as keep
) k
where c.oid in (select to_regclass(quote_ident(w.tab)) from unnest($1::text[]) as w (tab))
  and not pg_has_role(c.relowner, 'usage')
  and exists (select from aclexplode(c.relacl) e
              where e.grantee = (select oid from pg_roles where rolname = current_user) and e.privilege_type = 'SELECT')
group by 1, 2
order by 1, 2
