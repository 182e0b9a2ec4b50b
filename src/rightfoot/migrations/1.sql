CREATE TABLE batch (
  account INTEGER NOT NULL REFERENCES account (id),
  id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'failing', 'unavailable', 'abandoned', 'settled')),
  first_seen TEXT NOT NULL,
  by_webhook INTEGER NOT NULL CHECK (by_webhook IN (0, 1)),
  completed_at TEXT,
  confirmed INTEGER NOT NULL CHECK (confirmed IN (0, 1)),
  refused_since TEXT,
  next_look TEXT,
  newest_result TEXT,
  tally TEXT,
  PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX batch_by_newest_result ON batch (account, newest_result) WHERE newest_result IS NOT NULL;

CREATE INDEX batch_by_state ON batch (account, state);

CREATE TABLE check_counter (
  account INTEGER NOT NULL REFERENCES account (id),
  status TEXT NOT NULL,
  submitted_via TEXT NOT NULL,
  checks INTEGER NOT NULL,
  PRIMARY KEY (account, status, submitted_via)
) STRICT, WITHOUT ROWID;

CREATE TABLE check_institution (
  account INTEGER NOT NULL REFERENCES account (id),
  institution TEXT NOT NULL,
  status TEXT NOT NULL,
  checks INTEGER NOT NULL,
  PRIMARY KEY (account, institution, status)
) STRICT, WITHOUT ROWID;

CREATE TABLE check_rejected (
  account INTEGER NOT NULL REFERENCES account (id),
  reason TEXT NOT NULL,
  rows INTEGER NOT NULL,
  PRIMARY KEY (account, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE check_histogram (
  account INTEGER PRIMARY KEY REFERENCES account (id),
  histogram TEXT NOT NULL
) STRICT;

CREATE TABLE webhook_event (
  event TEXT PRIMARY KEY,
  received_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
