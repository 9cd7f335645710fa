-- From v0.4.10 usage may carry the provider's own cost, in 1e-10 USD; the window function sums it
-- and, apart, the tokens of the rows without one. Otherwise the function is that of 102.

ALTER TABLE task_usage ADD COLUMN cost_usd_ticks bigint;
ALTER TABLE task_usage_hourly
    ADD COLUMN cost_usd_ticks bigint NOT NULL DEFAULT 0,
    ADD COLUMN uncosted_input_tokens bigint,
    ADD COLUMN uncosted_output_tokens bigint,
    ADD COLUMN uncosted_cache_read_tokens bigint,
    ADD COLUMN uncosted_cache_write_tokens bigint;

CREATE OR REPLACE FUNCTION rollup_task_usage_hourly_window(p_from timestamptz, p_to timestamptz) RETURNS bigint
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
               count(DISTINCT v.task_id) AS task_count, count(*) AS event_count,
               coalesce(sum(v.cost_usd_ticks), 0) AS cost_usd_ticks,
               coalesce(sum(v.input_tokens) FILTER (WHERE v.cost_usd_ticks IS NULL), 0) AS uncosted_input_tokens,
               coalesce(sum(v.output_tokens) FILTER (WHERE v.cost_usd_ticks IS NULL), 0) AS uncosted_output_tokens,
               coalesce(sum(v.cache_read_tokens) FILTER (WHERE v.cost_usd_ticks IS NULL), 0) AS uncosted_cache_read_tokens,
               coalesce(sum(v.cache_write_tokens) FILTER (WHERE v.cost_usd_ticks IS NULL), 0) AS uncosted_cache_write_tokens
        FROM (
            SELECT d.*, t.id AS task_id, t.issue_id, u.input_tokens, u.output_tokens,
                   u.cache_read_tokens, u.cache_write_tokens, u.cost_usd_ticks
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
            input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, task_count, event_count,
            cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens,
            uncosted_cache_read_tokens, uncosted_cache_write_tokens)
        SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
               input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, task_count, event_count,
               cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens,
               uncosted_cache_read_tokens, uncosted_cache_write_tokens
        FROM recomputed
        ON CONFLICT ON CONSTRAINT uq_task_usage_hourly_key DO UPDATE SET
            input_tokens = EXCLUDED.input_tokens, output_tokens = EXCLUDED.output_tokens,
            cache_read_tokens = EXCLUDED.cache_read_tokens, cache_write_tokens = EXCLUDED.cache_write_tokens,
            task_count = EXCLUDED.task_count, event_count = EXCLUDED.event_count,
            cost_usd_ticks = EXCLUDED.cost_usd_ticks,
            uncosted_input_tokens = EXCLUDED.uncosted_input_tokens,
            uncosted_output_tokens = EXCLUDED.uncosted_output_tokens,
            uncosted_cache_read_tokens = EXCLUDED.uncosted_cache_read_tokens,
            uncosted_cache_write_tokens = EXCLUDED.uncosted_cache_write_tokens,
            updated_at = now()
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

INSERT INTO schema_migrations (version) VALUES ('213_task_usage_authoritative_cost');
