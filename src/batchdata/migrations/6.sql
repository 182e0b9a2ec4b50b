-- Which days of the transactions are to be read, and how much the last reading took, when.
CREATE TABLE transaction_reading (
  account INTEGER PRIMARY KEY REFERENCES account (id),
  next_day TEXT NOT NULL,
  last_day TEXT NOT NULL,
  read_at TEXT NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;

-- How many rows of each kind a day had when it was last read, while it may be read again. Of debits alone the amount matters.
CREATE TABLE transaction_day (
  account INTEGER NOT NULL REFERENCES account (id),
  day TEXT NOT NULL,
  type TEXT NOT NULL CHECK (type IN ('debit', 'credit', 'other')),
  endpoint_name TEXT NOT NULL,
  amount_usd TEXT NOT NULL,
  transactions INTEGER NOT NULL,
  PRIMARY KEY (account, day, type, endpoint_name, amount_usd)
) STRICT, WITHOUT ROWID;

-- The counters: how many the vendor lists, less the base line, and the highest number so far.
CREATE TABLE transaction_counter (
  account INTEGER NOT NULL REFERENCES account (id),
  type TEXT NOT NULL CHECK (type IN ('debit', 'credit', 'other')),
  endpoint_name TEXT NOT NULL,
  reported INTEGER NOT NULL,
  counted INTEGER NOT NULL,
  PRIMARY KEY (account, type, endpoint_name)
) STRICT, WITHOUT ROWID;

-- What debits cost.
CREATE TABLE transaction_histogram (
  account INTEGER NOT NULL REFERENCES account (id),
  endpoint_name TEXT NOT NULL,
  histogram TEXT NOT NULL,
  PRIMARY KEY (account, endpoint_name)
) STRICT, WITHOUT ROWID;

-- Debits that are listed less those that are in the histogram, by amount; there are some only after a restatement.
CREATE TABLE transaction_free (
  account INTEGER NOT NULL REFERENCES account (id),
  endpoint_name TEXT NOT NULL,
  amount_usd TEXT NOT NULL,
  transactions INTEGER NOT NULL,
  PRIMARY KEY (account, endpoint_name, amount_usd)
) STRICT, WITHOUT ROWID;
