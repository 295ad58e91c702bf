"""The ledger over HTTP: one thing to do at a time, or a thousand with a verdict each."""
