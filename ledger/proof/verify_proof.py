"""Check offline that a statement line is in a ledger: ``python verify_proof.py PROOF.json PUBLIC_KEY``.

Needs Python 3.11 and the package ``cryptography`` (for Ed25519), nothing else, and no network. The public key (64 hex
digits) comes from the ledger's operator by another way than the proof. Exit 0: proven; 1: not.
"""

import json
import struct
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def check(holds: bool, what: str) -> None:  # noqa: FBT001  read aloud
    """Refuse the proof unless something holds."""
    if not holds:
        raise ValueError(what)


def event_hash(event: dict[str, Any]) -> bytes:
    """SHA-256 of all that is stored of the event, behind the hashes before it in its account and in the log."""
    tag, stream = event["tag"].encode(), UUID(event["stream_id"])
    check(str(stream) == event["stream_id"], "the account is not written as accounts are")
    numbers = (event["version"], event["recorded_at_us"], event["effective_at_us"])
    hashes = [bytes.fromhex(event[name] or "00" * 16) for name in ("key_hash", "stream_hash", "log_hash")]
    head = struct.pack(">q16sqqq16s32s32sI", event["position"], stream.bytes, *numbers, *hashes, len(tag))
    return sha256(head + tag + event["state"].encode()).digest()


def check_head(head: dict[str, Any], public_key: bytes) -> None:
    """Ed25519 over the size, the tree's root, the last event's hash, the verdicts' hash and the time."""
    check(head["key_id"] == sha256(public_key).hexdigest()[:16], "the head names another key")
    hashes = [bytes.fromhex(head[name]) for name in ("root", "log_hash", "verdicts_hash")]
    signed = b"tallystick head v1\n" + struct.pack(">q32s32s32sq", head["size"], *hashes, head["signed_at_us"])
    Ed25519PublicKey.from_public_bytes(public_key).verify(bytes.fromhex(head["signature"]), signed)


def climb(place: int, last: int, start: bytes, path: list[str]) -> tuple[str, str]:
    """RFC 9162, 2.1.3.2 and 2.1.4.2 at once: the root without what lies to the right of the path, and the root."""
    older = newer = start
    for sibling in map(bytes.fromhex, path):
        check(last > 0, "a path is too long")
        if place & 1 or place == last:
            older, newer = (sha256(b"\1" + sibling + below).digest() for below in (older, newer))
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            newer = sha256(b"\1" + newer + sibling).digest()
        place, last = place >> 1, last >> 1
    check(last == 0, "a path is too short")
    return older.hex(), newer.hex()


def check_later(later: dict[str, Any], head: dict[str, Any], public_key: bytes) -> None:
    """Check that the tree of the head is how the tree of a later head began."""
    check_head(later["head"], public_key)
    sizes, roots = (later["first_size"], later["second_size"]), (later["first_root"], later["second_root"])
    check(sizes == (head["size"], later["head"]["size"]) and 0 < sizes[0] < sizes[1], "the sizes are not the heads'")
    check(roots == (head["root"], later["head"]["root"]), "the roots are not the heads'")
    path: list[str] = later["path"] if sizes[0] & (sizes[0] - 1) else [roots[0], *later["path"]]
    halves = (sizes[0] & -sizes[0]).bit_length() - 1
    climbed = climb(sizes[0] - 1 >> halves, sizes[1] - 1 >> halves, bytes.fromhex(path[0]), path[1:])
    check(climbed == roots, "the later head tells otherwise")


def verify(proof: dict[str, Any], public_key: bytes) -> str:
    """Check a whole proof; what it proves, in words."""
    event, head, later = proof["event"], proof["head"], proof["later"]
    check(proof["format"] == "tallystick-event-v1", "not a proof of an event")
    check(proof["public_key"] == public_key.hex(), "the proof is under another key")
    check_head(head, public_key)
    leaf = sha256(b"\0" + event_hash(event)).digest()
    check(0 < event["position"] <= head["size"], "the head does not reach so far")
    _, root = climb(event["position"] - 1, head["size"] - 1, leaf, proof["path"])
    check(root == head["root"], "the event is not what the head covers")
    if later is not None:
        check(later["format"] == "tallystick-consistency-v1", "not a proof that one head goes on from another")
        check_later(later, head, public_key)
    recorded = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=event["recorded_at_us"])).isoformat()
    whole, rest = divmod(json.loads(event["state"]).get("amount_ucr", 0), 10**6)
    where = f"event {event['position']} of {head['size']}, account {event['stream_id']} version {event['version']}"
    return f"proven: {event['tag']}, amount {whole}.{rest:06} credits, recorded {recorded}\n{where}\n{event['state']}\n"


if __name__ == "__main__":
    try:
        proof_file, key_hex = sys.argv[1:]
    except ValueError:
        sys.exit(str(__doc__))
    try:
        sys.stdout.write(verify(json.loads(Path(proof_file).read_bytes()), bytes.fromhex(key_hex)))
    except (ValueError, KeyError, TypeError, OSError, InvalidSignature, struct.error) as error:
        sys.exit(f"NOT PROVEN: {error or 'the signature is not by this key'}")
