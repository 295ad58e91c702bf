-- What backdated events of one span move together has no bound, as what passes through an account has none.
ALTER TABLE effective_changes ALTER COLUMN change_ucr TYPE numeric;
