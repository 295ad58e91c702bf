"""Names of the misbehaviours that the stand-in node and the node in memory can be told to show.

Each was seen on a real node, or is what a real node's network can do. They are scripted beside the protocol, never
through it, and no production node knows them.
"""

from enum import StrEnum


class Fault(StrEnum):
    """One misbehaviour, for one attempt."""

    OOM = "oom"
    """A graph node runs out of memory; the node stays usable."""
    CUDA_ERROR = "cuda_error"
    """A graph node ends with a CUDA error, after which every other attempt on the node does too."""
    EXCEPTION = "exception"
    """A graph node raises."""
    PARTIAL = "partial"
    """A graph node raises after the first output was saved."""
    HANG = "hang"
    """A graph node never returns; no cancel reaches it."""
    SILENT = "silent"
    """A graph node works without a sign of life for `seconds`, then goes on; a cancel waits for it."""
    SLOW = "slow"
    """Every step takes `seconds`; progress and cancel work."""
    ZOMBIE = "zombie"
    """The worker thread dies: HTTP answers, the queue never moves again."""
    KILLED = "killed"
    """The whole process dies inside a graph node."""
    FORGOTTEN = "forgotten"
    """The node restarts inside a graph node: it answers again and knows no job."""
    BLOCKED = "blocked"
    """Completed, with no output at all."""
    FEWER = "fewer"
    """Completed, with one picture less than it should be."""
    LOST_FILE = "lost_file"
    """Completed, and the first file is gone."""
    EMPTY_FILE = "empty_file"
    """Completed, and the first file has 0 bytes."""
    CORRUPT = "corrupt"
    """Completed, and the first file is cut in half."""
    BLACK = "black"
    """Completed, and every picture is black."""
    CONSTANT = "constant"
    """Completed, and every picture is one flat colour."""
    DEAF = "deaf"
    """A cancel is acknowledged and the job completes nevertheless."""
    QUEUED_500 = "queued_500"
    """The POST answers 500, and the job is in the queue and runs."""
    REFUSED_500 = "refused_500"
    """The POST answers 500, and nothing was queued."""
    LATE_ANSWER = "late_answer"
    """The job is queued and runs, and the POST's answer comes `seconds` late."""
