"""Money in: rails, quotes, top-ups and their settlement."""
