-- Sessions of the whole server that are working now, ours left out: the load is the server's.
-- Sessions of other roles read NULL without pg_read_all_stats and do not count.
select count(*)::int from pg_stat_activity
where state = 'active' and backend_type = 'client backend' and pid <> pg_backend_pid()
  and application_name not like 'multica-rollup/%'
