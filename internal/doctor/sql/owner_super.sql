-- Whether a role is a superuser. $1 its name; false where there is no such role.
select exists (select from pg_roles where rolname = $1::text and rolsuper)
