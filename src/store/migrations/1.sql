-- One account of a vendor.
CREATE TABLE account (
  id INTEGER PRIMARY KEY,
  vendor TEXT NOT NULL,
  name TEXT NOT NULL,
  UNIQUE (vendor, name)
) STRICT;

-- Last good answer of each source, and from when on its counters count.
CREATE TABLE source (
  account INTEGER NOT NULL REFERENCES account (id),
  source TEXT NOT NULL,
  last_success TEXT NOT NULL,
  count_since TEXT NOT NULL,
  configured_since TEXT,
  answer TEXT,
  PRIMARY KEY (account, source)
) STRICT, WITHOUT ROWID;

-- Counter series: when each was born, and whether it shows its value yet.
CREATE TABLE birth (
  account INTEGER NOT NULL REFERENCES account (id),
  series TEXT NOT NULL,
  born_at TEXT NOT NULL,
  shown INTEGER NOT NULL CHECK (shown IN (0, 1)),
  PRIMARY KEY (account, series)
) STRICT, WITHOUT ROWID;

-- Label values admitted so far.
CREATE TABLE label (
  account INTEGER NOT NULL REFERENCES account (id),
  label TEXT NOT NULL CHECK (label IN ('origin', 'api_path', 'institution', 'card_brand')),
  value TEXT NOT NULL,
  admitted_at TEXT NOT NULL,
  PRIMARY KEY (account, label, value)
) STRICT, WITHOUT ROWID;
