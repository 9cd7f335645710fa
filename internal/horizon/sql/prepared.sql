-- Prepared transactions of this database: gid, when prepared, owner.
-- They are not in pg_stat_activity, and when they began is not recorded.
select gid, prepared, owner::text
from pg_prepared_xacts
where database = current_database()
order by prepared
