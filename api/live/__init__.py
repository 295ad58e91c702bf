"""Live streams: one tail of the log and one subscription to progress per process feed every client."""
