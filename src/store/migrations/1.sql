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
