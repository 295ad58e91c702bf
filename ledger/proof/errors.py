"""What can go wrong with proofs.

::

    ProofError                  something cannot be proven
    ├── NotCovered              the tree or the last signed head does not reach so far yet   (transient)
    ├── UnknownPosition         the log has no such event
    ├── LogDiffers              the log is not how an exported head says it was
    ├── BadSignature            a head that no known key signed
    ├── BadFile                 a file that is cut, broken or of another kind
    ├── NotEmpty                a database that holds something already
    └── VaultUnavailable        the place for copies does not answer                         (transient)
"""

from __future__ import annotations

from typing import ClassVar


class ProofError(Exception):
    """Root. ``code`` is stable; ``transient`` says whether trying again can help."""

    code: ClassVar[str] = "proof-failed"
    transient: ClassVar[bool] = False


class NotCovered(ProofError):
    """The tree, or the last signed head, ends at ``size`` and not at ``wanted`` yet."""

    code = "not-covered-yet"
    transient = True

    def __init__(self, wanted: int, size: int) -> None:
        super().__init__(f"event {wanted} is not covered yet: there is proof up to event {size}")
        self.wanted = wanted
        self.size = size


class UnknownPosition(ProofError):
    """The log has no event at ``position``."""

    code = "position-unknown"

    def __init__(self, position: int) -> None:
        super().__init__(f"the log has no event {position}")
        self.position = position


class LogDiffers(ProofError):
    """At ``size`` the log is not how an exported head says it was; ``log_size`` is how long it is."""

    code = "log-differs"

    def __init__(self, size: int, log_size: int) -> None:
        short = f"it ends at {log_size}" if log_size < size else "it has another root there"
        super().__init__(f"the log does not go on from the head exported at {size}: {short}; see tallystick recover")
        self.size = size
        self.log_size = log_size


class BadSignature(ProofError):
    """A head at ``size`` that no known key signed."""

    code = "bad-signature"

    def __init__(self, size: int, key_id: str) -> None:
        super().__init__(f"the head at {size} is not signed by the key {key_id}, or that key is not known")
        self.size = size
        self.key_id = key_id


class BadFile(ProofError):
    """A file that is cut, broken or of another kind; ``position`` is the last event that was sound."""

    code = "bad-file"

    def __init__(self, reason: str, position: int = 0) -> None:
        super().__init__(f"{reason} (sound up to event {position})" if position else reason)
        self.position = position


class NotEmpty(ProofError):
    """A database that holds something already."""

    code = "database-not-empty"


class VaultUnavailable(ProofError):
    """The place for copies outside the database does not answer."""

    code = "vault-unavailable"
    transient = True
