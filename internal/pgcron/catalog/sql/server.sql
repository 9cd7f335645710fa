-- What the server says of pg_cron. Settings that our role may not see are missing
-- from pg_settings, which reads NULL here. Returns our database, our role, the preloaded
-- libraries, cron.database_name, the database of the launcher if one is seen, whether a
-- launcher could be hidden from our role, whether the extension's files are installed, the
-- server's major version, whether our role sees the jobs of all roles, whether it inherits what it is
-- granted, whether it is a superuser, and, as far as our role may see them, whether jobs are started
-- without a connection, and to which host pg_cron connects otherwise ('' where that is not seen).
select current_database()::text, current_user::text,
       (select setting from pg_settings where name = 'shared_preload_libraries'),
       coalesce((select setting from pg_settings where name = 'cron.database_name'), ''),
       coalesce((select a.datname::text from pg_stat_activity a
                 where a.backend_type = 'pg_cron launcher' or a.application_name = 'pg_cron scheduler' limit 1), ''),
       not pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
       exists (select from pg_available_extensions where name = 'pg_cron'),
       current_setting('server_version_num')::int / 10000,
       (select rolsuper or rolbypassrls from pg_roles where rolname = current_user),
       (select rolinherit from pg_roles where rolname = current_user),
       (select rolsuper from pg_roles where rolname = current_user),
       coalesce((select setting = 'on' from pg_settings where name = 'cron.use_background_workers'), true),
       coalesce((select setting from pg_settings where name = 'cron.host'), '')
