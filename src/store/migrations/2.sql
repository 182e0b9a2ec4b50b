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

-- Shows whether there is room: a row is written and deleted again.
CREATE TABLE probe (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  filler BLOB
) STRICT;
