-- Sessions of this database that wait for a lock. pg_locks can be read by every role.
select count(distinct pid)::int from pg_locks
where not granted and pid <> pg_backend_pid()
  and (database is null or database = (select oid from pg_database where datname = current_database()))
