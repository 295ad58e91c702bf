"""The nodes in service: registration, health, proof by canary, and standing aside."""
