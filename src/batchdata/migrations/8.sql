-- Days as a start reads them: debits and credits of many, without their parts.
CREATE INDEX consumption_total ON consumption_day (account, day, amount_usd) WHERE report IN ('debit', 'credit');
