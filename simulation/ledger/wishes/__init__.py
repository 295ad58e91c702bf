"""What is asked of the ledger in a simulation."""
