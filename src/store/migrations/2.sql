-- When the last success is unknown: null. By the clock that counts suspend: nanoseconds since the boot of that name.
CREATE TABLE source_2 (
  account INTEGER NOT NULL REFERENCES account (id),
  source TEXT NOT NULL,
  last_success TEXT,
  count_since TEXT NOT NULL,
  configured_since TEXT,
  answer TEXT,
  boot_id TEXT,
  boot_time INTEGER,
  PRIMARY KEY (account, source)
) STRICT, WITHOUT ROWID;

INSERT INTO source_2 (account, source, last_success, count_since, configured_since, answer)
SELECT account, source, last_success, count_since, configured_since, answer FROM source;

DROP TABLE source;

ALTER TABLE source_2 RENAME TO source;

ALTER TABLE batch ADD COLUMN settled_at TEXT;

UPDATE batch SET settled_at = max(first_seen, coalesce(newest_result, first_seen)) WHERE state = 'settled';

DROP TABLE webhook_event;

-- First UTC day that the first card listing covered.
CREATE TABLE card_base (
  account INTEGER PRIMARY KEY REFERENCES account (id),
  listed_from TEXT NOT NULL
) STRICT;

-- Version 1 began with a listing of 365 days, or from the configured day if that is earlier.
INSERT INTO card_base (account, listed_from)
SELECT account, min(date(count_since, '-365 days'), coalesce(configured_since, date(count_since, '-365 days')))
FROM source WHERE source = 'card_transactions';

-- Shows whether there is room: a row is written and deleted again.
CREATE TABLE probe (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  filler BLOB
) STRICT;
