"""Every bound on what we say to a node and take from it, asserted against the others."""

CONNECT_LIMIT_S = 3.0
"""To open a connection to a node."""
ANSWER_LIMIT_S = 10.0
"""For a node's whole answer to a question about a job, a cancel, its health."""
TRANSFER_LIMIT_S = 60.0
"""For a whole file, up or down, and for the list of a node's classes."""
ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""Largest JSON answer about one job; errors carry whole tensors as text."""
CAPABILITIES_BYTES_MAX = 64 * 1024 * 1024
"""Largest list of classes; a stock node sends 2 MB, one with many extensions tens."""
UPLOAD_BYTES_MAX = 100 * 1024 * 1024
"""What a node accepts by default."""
FRAME_BYTES_MAX = 8 * 1024 * 1024
"""Largest message on the live stream; previews are some 40 KB."""
REASON_CHARS_MAX = 500
"""Longest text of a node or a network library that we keep."""
QUIET_MIN_S = 0.05
"""Shortest wait between two `Quiet`."""

assert CONNECT_LIMIT_S < ANSWER_LIMIT_S < TRANSFER_LIMIT_S
assert ANSWER_BYTES_MAX < CAPABILITIES_BYTES_MAX
