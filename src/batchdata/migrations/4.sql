-- The balance as it was polled in the last hours. By the clock that counts suspend: nanoseconds since the boot of that name.
CREATE TABLE balance_poll (
  account INTEGER NOT NULL REFERENCES account (id),
  number INTEGER NOT NULL,
  balance_usd TEXT NOT NULL,
  polled_at TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  boot_time INTEGER NOT NULL,
  PRIMARY KEY (account, number)
) STRICT, WITHOUT ROWID;

-- What comparing it with the consumption report has shown. The offset is balance plus debits less credits since the base
-- line, while nothing is unreconciled.
CREATE TABLE reconciliation (
  account INTEGER PRIMARY KEY REFERENCES account (id),
  lowest_offset_usd TEXT NOT NULL,
  highest_offset_usd TEXT NOT NULL,
  unreconciled_usd TEXT NOT NULL,
  compared_at TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  boot_time INTEGER NOT NULL
) STRICT;
