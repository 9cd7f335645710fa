-- Sessions of the whole server that are working now, ours left out: the load is the server's.
-- And how many are hidden: without pg_read_all_stats what other roles' sessions do reads so, and they do not count.
select count(*) filter (where state = 'active' and backend_type = 'client backend')::int,
       count(*) filter (where query = '<insufficient privilege>')::int
from pg_stat_activity
where usesysid is not null and pid <> pg_backend_pid()
  and application_name not like 'multica-rollup/%'
