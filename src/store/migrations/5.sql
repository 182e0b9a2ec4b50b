-- Counter series: since when each is there, from when on it counts, as far as that can be told, and whether it shows its
-- value yet.
CREATE TABLE series_5 (
  account INTEGER NOT NULL REFERENCES account (id),
  key TEXT NOT NULL,
  created_at TEXT,
  started_at TEXT,
  shown INTEGER NOT NULL CHECK (shown IN (0, 1)),
  PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;

-- Each was served as zero when it was created.
INSERT INTO series_5 (account, key, created_at, started_at, shown)
SELECT account, key, created_at, created_at, shown FROM series;

DROP TABLE series;

ALTER TABLE series_5 RENAME TO series;
