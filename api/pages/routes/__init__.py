"""Routes of the pages. Each asks for the session itself: the gate before them lets everybody pass."""
