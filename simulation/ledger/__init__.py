"""The ledger's writers, readers and followers on one thread: history, world, what must hold after every step."""
