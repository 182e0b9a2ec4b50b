-- What the vendor reports, by UTC day. Amounts are decimal text, in US dollars.
CREATE TABLE consumption_day (
  account INTEGER NOT NULL REFERENCES account (id),
  day TEXT NOT NULL,
  report TEXT NOT NULL CHECK (report IN ('debit', 'credit', 'origin_debit', 'origin_credit', 'api_path_debit')),
  label TEXT NOT NULL,
  amount_usd TEXT NOT NULL,
  PRIMARY KEY (account, day, report, label)
) STRICT, WITHOUT ROWID;

-- The counters over it: the total as last reported, less the base line, and the highest total so far.
CREATE TABLE consumption_counter (
  account INTEGER NOT NULL REFERENCES account (id),
  report TEXT NOT NULL,
  label TEXT NOT NULL,
  reported_usd TEXT NOT NULL,
  counted_usd TEXT NOT NULL,
  PRIMARY KEY (account, report, label)
) STRICT, WITHOUT ROWID;

CREATE TABLE consumption_covered (
  account INTEGER PRIMARY KEY REFERENCES account (id),
  first_day TEXT NOT NULL,
  last_day TEXT NOT NULL,
  full_read_on TEXT
) STRICT;

CREATE TABLE card_transaction (
  account INTEGER NOT NULL REFERENCES account (id),
  id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  status TEXT NOT NULL,
  brand TEXT NOT NULL,
  credits_usd TEXT NOT NULL,
  sales_tax_usd TEXT NOT NULL,
  processing_fee_usd TEXT NOT NULL,
  created_at TEXT NOT NULL,
  seen_paid INTEGER NOT NULL CHECK (seen_paid IN (0, 1)),
  seen_failed INTEGER NOT NULL CHECK (seen_failed IN (0, 1)),
  seen_unknown INTEGER NOT NULL CHECK (seen_unknown IN (0, 1)),
  PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX card_transaction_by_day ON card_transaction (account, created_at);

-- The few that are pending are looked for by their day.
CREATE TABLE card_pending (
  account INTEGER NOT NULL REFERENCES account (id),
  id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  brand TEXT NOT NULL,
  created_at TEXT NOT NULL,
  PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE card_latest (
  account INTEGER NOT NULL REFERENCES account (id),
  kind TEXT NOT NULL,
  status TEXT NOT NULL,
  created_at TEXT NOT NULL,
  PRIMARY KEY (account, kind, status)
) STRICT, WITHOUT ROWID;

CREATE TABLE card_counter (
  account INTEGER NOT NULL REFERENCES account (id),
  kind TEXT NOT NULL,
  status TEXT NOT NULL,
  brand TEXT NOT NULL,
  events INTEGER NOT NULL,
  credits_usd TEXT NOT NULL,
  PRIMARY KEY (account, kind, status, brand)
) STRICT, WITHOUT ROWID;

CREATE TABLE card_cost (
  account INTEGER NOT NULL REFERENCES account (id),
  brand TEXT NOT NULL,
  sales_tax_usd TEXT NOT NULL,
  processing_fees_usd TEXT NOT NULL,
  PRIMARY KEY (account, brand)
) STRICT, WITHOUT ROWID;
