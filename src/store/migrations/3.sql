-- Counter series: when each was created, and whether it shows its value yet.
CREATE TABLE series (
  account INTEGER NOT NULL REFERENCES account (id),
  key TEXT NOT NULL,
  created_at TEXT NOT NULL,
  shown INTEGER NOT NULL CHECK (shown IN (0, 1)),
  PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;

INSERT INTO series (account, key, created_at, shown) SELECT account, series, born_at, shown FROM birth;

DROP TABLE birth;

-- Label values that have a series of their own.
CREATE TABLE label_3 (
  account INTEGER NOT NULL REFERENCES account (id),
  label TEXT NOT NULL,
  value TEXT NOT NULL,
  allowed_at TEXT NOT NULL,
  PRIMARY KEY (account, label, value)
) STRICT, WITHOUT ROWID;

INSERT INTO label_3 (account, label, value, allowed_at) SELECT account, label, value, admitted_at FROM label;

DROP TABLE label;

ALTER TABLE label_3 RENAME TO label;
