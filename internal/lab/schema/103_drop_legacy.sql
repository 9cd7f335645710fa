-- What migration 103 does once its guard has passed.
DROP TABLE task_usage_daily;
DROP TABLE task_usage_dashboard_daily;
INSERT INTO schema_migrations (version) VALUES ('103_drop_legacy_daily_rollups');
