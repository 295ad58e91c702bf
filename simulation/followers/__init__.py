"""Followers in the simulation: the real cores over their named statements, in processes that die between any two."""
