-- First UTC day that the first card listing covered.
CREATE TABLE card_base (
  account INTEGER PRIMARY KEY REFERENCES account (id),
  listed_from TEXT NOT NULL
) STRICT;

-- Version 1 began with a listing of 365 days, or from the configured day if that is earlier.
INSERT INTO card_base (account, listed_from)
SELECT account, min(date(count_since, '-365 days'), coalesce(configured_since, date(count_since, '-365 days')))
FROM source WHERE source = 'card_transactions';
