-- Which server this is and who we are on it, and where the search_path was set:
-- 'client' means in the DSN. Whether transactions are read-only by default. Whether our role inherits what it is granted; before
-- PostgreSQL 16 that is the role's own, later each grant's.
select current_setting('server_version_num')::int,
       current_database()::text,
       current_user::text,
       pg_is_in_recovery(),
       current_setting('search_path'),
       (select source from pg_settings where name = 'search_path'),
       current_setting('default_transaction_read_only')::boolean,
       coalesce((select rolinherit from pg_roles where rolname = current_user), true)
