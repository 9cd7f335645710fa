-- Which server this is and who we are on it.
select current_setting('server_version_num')::int,
       current_database()::text,
       current_user::text,
       pg_is_in_recovery(),
       current_setting('search_path')
