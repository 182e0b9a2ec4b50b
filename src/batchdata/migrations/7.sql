-- What a counter was when it was first served beside all others: of one that came later zero; null where it is unknown.
ALTER TABLE consumption_counter ADD COLUMN first_usd TEXT;
