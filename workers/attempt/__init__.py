"""One attempt of a job on a node, from claim to end: a core without I/O, and the driver that gives it a node."""
