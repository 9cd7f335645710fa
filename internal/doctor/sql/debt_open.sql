-- Whether a transaction is still open, or one of several. $1 pid, $2 its start, $3 gid, $4 virtual
-- transactions ('*': whatever writes), $5 whether it was prepared. Several have neither pid nor gid.
select case
         when $5 then exists (select from pg_prepared_xacts
                              where database = current_database() and case when $3 = '' then prepared <= $2 else gid = $3 end)
         when $4 = '*' then exists (select from pg_locks
                                    where locktype = 'relation' and mode = 'RowExclusiveLock'
                                      and database = (select oid from pg_database where datname = current_database()))
         when $4 <> '' then exists (select from pg_locks where virtualtransaction = any (string_to_array($4, ' ')))
         when $1 = 0 then exists (select from pg_stat_activity
                                  where datname = current_database() and xact_start <= $2 and pid <> pg_backend_pid())
         else exists (select from pg_stat_activity where pid = $1 and xact_start = $2)
       end
