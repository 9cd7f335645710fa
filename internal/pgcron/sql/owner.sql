-- What a role is. $1 its name. Returns whether it is a superuser, and whether it may log in.
select rolsuper, rolcanlogin from pg_roles where rolname = $1::text
