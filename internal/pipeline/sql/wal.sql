-- The timeline of the write-ahead log, up to where it is on disk and up to where it is written, in bytes; and the
-- database's clock.
select left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
       (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint,
       (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint,
       clock_timestamp()
