-- What the last download took, also one that failed or did not end: a start must not download again before the budget allows it.
CREATE TABLE transaction_download (
  account INTEGER PRIMARY KEY REFERENCES account (id),
  at TEXT NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;
INSERT INTO transaction_download (account, at, bytes) SELECT account, read_at, bytes FROM transaction_reading;
ALTER TABLE transaction_reading DROP COLUMN read_at;
ALTER TABLE transaction_reading DROP COLUMN bytes;
