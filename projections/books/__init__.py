"""Double entry by rule from the log: rules, the follower that writes entries, identities and exports."""

from typing import Final

NAME: Final = "books"
"""Name of the follower."""
