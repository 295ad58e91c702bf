"""What answers look like: credits as decimal strings, ids with their kind, times in UTC."""
