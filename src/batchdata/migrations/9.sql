-- What the offset was at other values of what is unreconciled: those that may come back, and the one that is shown.
ALTER TABLE reconciliation ADD COLUMN levels TEXT;
