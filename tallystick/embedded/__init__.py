"""A PostgreSQL and a Redis of our own, for machines that have none: started, watched, stopped and recovered."""
