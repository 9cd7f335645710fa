-- The hourly rollup's functions: one window, one tick, the queue's pruning, the lag.
-- They are slow, leak and lie exactly as the real ones do: they are what we are compared with.

-- Recomputes every key touched in [p_from, p_to) or queued before p_to.
-- Returns rows upserted plus rows deleted. Each dirty key visits every task that its agent ever
-- ran on its runtime: the fences (OFFSET 0) keep the planner on that path at every size.
CREATE FUNCTION rollup_task_usage_hourly_window(p_from timestamptz, p_to timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_rows bigint;
BEGIN
    IF p_from >= p_to THEN
        RETURN 0;
    END IF;

    WITH dirty AS MATERIALIZED (
        SELECT task_usage_hour_bucket(tu.created_at) AS bucket_hour, a.workspace_id, q.runtime_id,
               q.agent_id, i.project_id, tu.provider, tu.model
        FROM task_usage tu
        JOIN agent_task_queue q ON q.id = tu.task_id
        JOIN agent a ON a.id = q.agent_id
        LEFT JOIN issue i ON i.id = q.issue_id
        WHERE ((tu.updated_at >= p_from AND tu.updated_at < p_to)
               OR (tu.updated_at IS NULL AND tu.created_at >= p_from AND tu.created_at < p_to))
          AND q.runtime_id IS NOT NULL
        UNION
        SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model
        FROM task_usage_hourly_dirty
        WHERE enqueued_at < p_to
    ), recomputed AS MATERIALIZED (
        SELECT v.bucket_hour, v.workspace_id, v.runtime_id, v.agent_id, v.project_id, v.provider, v.model,
               sum(v.input_tokens) AS input_tokens, sum(v.output_tokens) AS output_tokens,
               sum(v.cache_read_tokens) AS cache_read_tokens, sum(v.cache_write_tokens) AS cache_write_tokens,
               count(DISTINCT v.task_id) AS task_count, count(*) AS event_count
        FROM (
            SELECT d.*, t.id AS task_id, t.issue_id, u.input_tokens, u.output_tokens,
                   u.cache_read_tokens, u.cache_write_tokens
            FROM dirty d
            JOIN agent a ON a.id = d.agent_id AND a.workspace_id = d.workspace_id
            CROSS JOIN LATERAL (
                SELECT q.id, q.issue_id FROM agent_task_queue q
                WHERE q.agent_id = d.agent_id AND q.runtime_id = d.runtime_id OFFSET 0
            ) t
            CROSS JOIN LATERAL (
                SELECT tu.* FROM task_usage tu
                WHERE tu.task_id = t.id AND tu.provider = d.provider AND tu.model = d.model
                  AND task_usage_hour_bucket(tu.created_at) = d.bucket_hour OFFSET 0
            ) u
            OFFSET 0
        ) v
        LEFT JOIN issue i ON i.id = v.issue_id
        WHERE i.project_id IS NOT DISTINCT FROM v.project_id
        GROUP BY v.bucket_hour, v.workspace_id, v.runtime_id, v.agent_id, v.project_id, v.provider, v.model
    ), upserted AS (
        INSERT INTO task_usage_hourly AS h (
            bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
            input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, task_count, event_count)
        SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
               input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, task_count, event_count
        FROM recomputed
        ON CONFLICT ON CONSTRAINT uq_task_usage_hourly_key DO UPDATE SET
            input_tokens = EXCLUDED.input_tokens, output_tokens = EXCLUDED.output_tokens,
            cache_read_tokens = EXCLUDED.cache_read_tokens, cache_write_tokens = EXCLUDED.cache_write_tokens,
            task_count = EXCLUDED.task_count, event_count = EXCLUDED.event_count, updated_at = now()
        RETURNING 1
    ), deleted AS (
        DELETE FROM task_usage_hourly h
        USING dirty d
        WHERE h.bucket_hour = d.bucket_hour AND h.workspace_id = d.workspace_id
          AND h.runtime_id = d.runtime_id AND h.agent_id = d.agent_id
          AND h.project_id IS NOT DISTINCT FROM d.project_id
          AND h.provider = d.provider AND h.model = d.model
          AND NOT EXISTS (
              SELECT 1 FROM recomputed r
              WHERE r.bucket_hour = d.bucket_hour AND r.workspace_id = d.workspace_id
                AND r.runtime_id = d.runtime_id AND r.agent_id = d.agent_id
                AND r.project_id IS NOT DISTINCT FROM d.project_id
                AND r.provider = d.provider AND r.model = d.model)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM upserted) + (SELECT count(*) FROM deleted) INTO v_rows;

    -- A statement, and so a snapshot, of its own: what was queued meanwhile with an
    -- enqueued_at before p_to goes unprocessed.
    DELETE FROM task_usage_hourly_dirty WHERE enqueued_at < p_to;
    RETURN v_rows;
END
$$;

-- Deletes queue rows older than p_keep, processed or not. Returns how many.
CREATE FUNCTION prune_task_usage_hourly_dirty(p_keep interval DEFAULT '7 days') RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_rows bigint;
BEGIN
    DELETE FROM task_usage_hourly_dirty WHERE enqueued_at < now() - p_keep;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END
$$;

-- One tick. The lock is the session's: a cancel (never caught by OTHERS) leaves it held. The
-- handler's own write of last_error is rolled back with the statement, since it re-raises.
CREATE FUNCTION rollup_task_usage_hourly() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_from timestamptz;
    v_to   timestamptz;
    v_rows bigint := 0;
BEGIN
    IF NOT pg_try_advisory_lock(4246) THEN
        RETURN 0;
    END IF;
    BEGIN
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
    EXCEPTION WHEN OTHERS THEN
        UPDATE task_usage_hourly_rollup_state SET last_error = SQLERRM WHERE id = 1;
        PERFORM pg_advisory_unlock(4246);
        RAISE;
    END;
    PERFORM pg_advisory_unlock(4246);
    RETURN v_rows;
END
$$;

-- Seconds since the last run finished: the run's age, which says nothing about the data's.
CREATE FUNCTION task_usage_hourly_rollup_lag_seconds() RETURNS double precision
LANGUAGE sql STABLE AS $$
    SELECT extract(epoch FROM now() - last_run_finished_at)::double precision
    FROM task_usage_hourly_rollup_state WHERE id = 1
$$;

INSERT INTO schema_migrations (version) VALUES ('102_task_usage_hourly_pipeline');
