"""What each event does, by what it does it to. Only ``ledger.domain.evolve`` calls these."""
