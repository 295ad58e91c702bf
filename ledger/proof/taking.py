"""Takes the head of the log as it is, and compares heads taken earlier with the log. Sans I/O."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ledger.proof.errors import LogDiffers, NotCovered
from ledger.proof.heads import Head, SignedHead
from ledger.proof.reading import Reading, read_root, read_state
from ledger.proof.statements import KEEP_HEAD, LATEST_HEAD, LEAVES, LOG_SIZE, SNAPSHOT
from ledger.sansio import Commit, Core, Row, Run
from ledger.writer.chain import GENESIS, microseconds

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def take_head(now: datetime, earlier: Head | None) -> Core[Head]:
    """The head of what the tree covers, once it is shown to go on from an earlier head.

    :raises LogDiffers: it does not.
    :raises NotCovered: the tree is behind the earlier head.
    """
    yield Run(SNAPSHOT, {})
    if earlier is not None:
        yield from check_continues(earlier)
    size, verdicts_hash = yield from read_state()
    root = yield from read_root(size)
    leaves: list[Row] = yield Run(LEAVES, {"positions": [size]})
    yield Commit()
    return Head(
        size=size,
        root=root,
        log_hash=leaves[0]["hash"] if leaves else GENESIS,
        verdicts_hash=verdicts_hash,
        signed_at_us=microseconds(now),
    )


def check_continues(earlier: Head) -> Reading[None]:
    """Check that the log, up to an earlier head's size, is what that head says. In one snapshot.

    :raises LogDiffers: it is shorter or another.
    :raises NotCovered: the tree is behind; it follows the log within moments.
    """
    rows: list[Row] = yield Run(LOG_SIZE, {})
    log_size: int = rows[0]["position"]
    if log_size < earlier.size:
        raise LogDiffers(earlier.size, log_size)
    size, _ = yield from read_state()
    if size < earlier.size:
        raise NotCovered(earlier.size, size)
    if (yield from read_root(earlier.size)) != earlier.root:
        raise LogDiffers(earlier.size, log_size)


def keep_head(signed: SignedHead) -> Core[None]:
    """Keep a signed head beside the log, where proofs take it from."""
    head = signed.head
    params = {
        "size": head.size,
        "root": head.root,
        "log_hash": head.log_hash,
        "verdicts_hash": head.verdicts_hash,
        "signed_at": at(head.signed_at_us),
        "key_id": signed.key_id,
        "signature": signed.signature,
    }
    yield Run(KEEP_HEAD, params)
    yield Commit()


def latest_head() -> Reading[SignedHead | None]:
    """The longest head that is kept beside the log."""
    rows: list[Row] = yield Run(LATEST_HEAD, {})
    if not rows:
        return None
    row = rows[0]
    head = Head(
        size=row["size"],
        root=row["root"],
        log_hash=row["log_hash"],
        verdicts_hash=row["verdicts_hash"],
        signed_at_us=microseconds(row["signed_at"]),
    )
    return SignedHead(head=head, key_id=row["key_id"], signature=row["signature"])


def at(signed_at_us: int) -> datetime:
    """Microseconds since 1970 as a time."""
    return _EPOCH + timedelta(microseconds=signed_at_us)
