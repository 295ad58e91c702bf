"""Pure rules of a job: what it is, costs, reserves and how it ends. No I/O, no clock, no randomness."""
