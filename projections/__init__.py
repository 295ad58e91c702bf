"""The read side, folded from the log: statements, usage, books."""
