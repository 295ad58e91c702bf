"""The writer in a process of its own, reached over a Unix socket in batches, behind ``ledger.ports.LedgerWriter``."""
