"""Forward-only SQL files and what applies them."""
