-- Migration 103's guard: raises unless the hourly rollup has caught up with task_usage.
-- Callable by itself, and run by the lab before it drops the legacy tables.
DO $$
DECLARE
    v_watermark timestamptz;
    v_latest    timestamptz;
BEGIN
    SELECT max(coalesce(updated_at, created_at)) INTO v_latest FROM task_usage;
    IF v_latest IS NULL THEN
        RETURN;
    END IF;
    SELECT watermark_at INTO v_watermark FROM task_usage_hourly_rollup_state WHERE id = 1;
    IF v_watermark IS NULL OR v_watermark < v_latest - interval '1 hour' THEN
        RAISE EXCEPTION 'refusing to drop legacy daily rollups: task_usage_hourly_rollup_state.watermark_at (%) trails task_usage latest event (%) by more than % — roll the history up first',
            v_watermark, v_latest, interval '1 hour';
    END IF;
END
$$;
