"""Executors: how a job runner speaks to a machine that runs image graphs, and what it may conclude."""
