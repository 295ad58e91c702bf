"""The read side: followers that turn the log into statements, usage and double-entry books, and what reads those."""
