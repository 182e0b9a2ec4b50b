ALTER TABLE batch ADD COLUMN settled_at TEXT;

UPDATE batch SET settled_at = max(first_seen, coalesce(newest_result, first_seen)) WHERE state = 'settled';

DROP TABLE webhook_event;
