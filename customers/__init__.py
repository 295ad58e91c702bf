"""Who: organisations, their members and API keys."""
