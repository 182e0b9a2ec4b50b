-- What each counter was at the first report that was counted: of one that came later zero. When that report was, by the
-- vendor's clock. Both are null where counting began in an older version.
ALTER TABLE consumption_counter ADD COLUMN first_usd TEXT;
ALTER TABLE consumption_covered ADD COLUMN first_at TEXT;

-- From when on the balance was served: at the earliest from when on anything was.
INSERT OR IGNORE INTO series (account, key, created_at, started_at, shown)
SELECT account, 'balance', min(created_at), min(created_at), 1 FROM series
WHERE account IN (SELECT account FROM source WHERE source = 'balance') GROUP BY account;
