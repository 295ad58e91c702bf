"""Where the log is kept: PostgreSQL, and a twin in memory that passes the same contract."""
