-- How tables of the ledger are kept: a hold is inserted once and updated once or twice, and rests for ever.

-- An update of a hold leaves its page in any case, as its state stands in two indexes: no room is kept for it.
-- Every second row is dead soon after it was written; vacuum makes room for new ones before the table doubles.
ALTER TABLE holds SET (
    fillfactor = 100,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.2
);

-- Updates of an account stay on its page (no index has a column that changes, but for grants that end).
ALTER TABLE account_states SET (autovacuum_vacuum_scale_factor = 0.1);

ALTER TABLE budget_usage SET (fillfactor = 70);
