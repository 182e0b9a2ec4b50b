-- When the first report was that was counted, by the vendor's clock: `first_usd` is what each counter was then, and zero of one
-- that came later. Null where counting began in an older version.
ALTER TABLE consumption_covered ADD COLUMN first_at TEXT;

-- From when on the balance was served: at the earliest from when on anything was.
INSERT OR IGNORE INTO series (account, key, created_at, started_at, shown)
SELECT account, 'balance', min(created_at), min(created_at), 1 FROM series
WHERE account IN (SELECT account FROM source WHERE source = 'balance') GROUP BY account;

-- Days as a start reads them: debits and credits of many, without their parts.
CREATE INDEX consumption_total ON consumption_day (account, day, amount_usd) WHERE report IN ('debit', 'credit');
