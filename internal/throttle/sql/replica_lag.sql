-- Standbys that stream, how many of them are hidden from our role, and the
-- largest replay lag in seconds. replay_lag is NULL on an idle standby that has caught up.
select count(*)::int,
       count(*) filter (where state is null)::int,
       coalesce(max(extract(epoch from replay_lag)) filter (where state = 'streaming'), 0)::float8
from pg_stat_replication
