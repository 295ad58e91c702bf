"""Money in: rails behind one port, quotes, top-ups, and the settlement that turns a receipt into credits once."""
