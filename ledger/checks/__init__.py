"""What ``ledger.verify`` checks, each in a module: events, verdicts, tree and heads, snapshots, rows of state."""
