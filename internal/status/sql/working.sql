-- The sessions of this program's backfills that work on this database. $1 the beginning of their
-- application name. One that has been idle for a minute may be what a pooler kept of one that ended.
-- One row each: pid, application name, address of the client ('' for a socket).
select pid, application_name, coalesce(host(client_addr), '')
from pg_stat_activity
where datname = current_database() and starts_with(application_name, $1)
  and (state is distinct from 'idle' or state_change > clock_timestamp() - interval '1 minute')
order by backend_start, pid
