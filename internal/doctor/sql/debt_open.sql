-- Whether a transaction is still open. $1 pid, $2 its start, $3 gid, $4 virtual transaction.
select case
         when $3 <> '' then exists (select from pg_prepared_xacts where gid = $3)
         when $4 <> '' then exists (select from pg_locks where virtualtransaction = $4)
         else exists (select from pg_stat_activity where pid = $1 and xact_start = $2)
       end
