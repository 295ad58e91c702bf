"""Measurements: each a ratio against a named baseline in the same run, since machines differ and are noisy."""
