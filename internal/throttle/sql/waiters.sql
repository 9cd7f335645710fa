-- Sessions of this database that wait for a lock. pg_locks can be read by every
-- role, and so can which database a session is in.
select count(distinct l.pid)::int
from pg_locks l
join pg_stat_activity a on a.pid = l.pid
where not l.granted and l.pid <> pg_backend_pid()
  and a.datid = (select oid from pg_database where datname = current_database())
