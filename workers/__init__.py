"""Jobs: what customers order, the nodes that paint it, and how one becomes the other exactly once."""
