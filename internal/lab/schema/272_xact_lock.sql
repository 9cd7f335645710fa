-- From v0.4.23 the tick's lock is the transaction's, so a cancel lets go of it. last_error is
-- lost as before.
CREATE OR REPLACE FUNCTION rollup_task_usage_hourly() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_from timestamptz;
    v_to   timestamptz;
    v_rows bigint := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(4246) THEN
        RETURN 0;
    END IF;
    UPDATE task_usage_hourly_rollup_state SET last_run_started_at = clock_timestamp() WHERE id = 1
    RETURNING watermark_at INTO v_from;
    v_to := least(now() - interval '5 minutes', v_from + interval '1 day');
    IF v_to > v_from THEN
        v_rows := rollup_task_usage_hourly_window(v_from, v_to);
    ELSE
        v_to := v_from;
    END IF;
    UPDATE task_usage_hourly_rollup_state
    SET watermark_at = v_to, last_run_finished_at = clock_timestamp(), last_run_rows = v_rows, last_error = NULL
    WHERE id = 1;
    PERFORM prune_task_usage_hourly_dirty();
    RETURN v_rows;
EXCEPTION WHEN OTHERS THEN
    UPDATE task_usage_hourly_rollup_state SET last_error = SQLERRM WHERE id = 1;
    RAISE;
END
$$;
INSERT INTO schema_migrations (version) VALUES ('272_rollup_task_usage_hourly_xact_lock');
