"""Topics of the hints that the jobs' side sends."""

SLOTS_TOPIC = "slots"
"""A slot of a GPU class may be free, or a job of it wait; the payload is the class."""
