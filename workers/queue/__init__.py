"""The queue: PostgreSQL decides what runs next and on which node; messages only say that somebody should look."""
