"""Proof: a Merkle tree over the log, heads signed and kept elsewhere, and what can be shown to others with them."""
