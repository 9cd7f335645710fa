-- What `migrate up` of v0.3.17 and later does just before 103, while the server is down.
-- Without usage, and where the watermark trails the latest event by an hour at most, it rolls
-- nothing up and stamps the watermark to five minutes ago all the same, without taking lock 4246:
-- up to an hour of usage is behind the watermark then, in no bucket. Otherwise it rolls the history
-- up by calendar months of created_at with the database's function, holding the lock, and stamps.
-- Callable by itself; no generation's schema contains it.
DO $$
DECLARE
    v_latest timestamptz;
    v_from   timestamptz;
    v_to     timestamptz;
BEGIN
    SELECT max(coalesce(updated_at, created_at)) INTO v_latest FROM task_usage;
    IF v_latest - interval '1 hour' > (SELECT watermark_at FROM task_usage_hourly_rollup_state WHERE id = 1) THEN
        PERFORM pg_advisory_xact_lock(4246);
        SELECT date_trunc('month', min(created_at)), max(created_at) INTO v_from, v_to FROM task_usage;
        WHILE v_from <= v_to LOOP
            PERFORM rollup_task_usage_hourly_window(v_from, v_from + interval '1 month');
            v_from := v_from + interval '1 month';
        END LOOP;
    END IF;
    UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - interval '5 minutes' WHERE id = 1;
END
$$;
