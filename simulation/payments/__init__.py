"""Money in, in the simulation: settlement over twins of its tables and of a source, with crashes at every effect."""
