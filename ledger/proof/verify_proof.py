"""Check offline that a statement line is in a ledger: ``python verify_proof.py PROOF.json PUBLIC_KEY...``.

Needs Python 3.11 and the package ``cryptography``, nothing else, and no network. Public keys (64 hex digits; two where
they changed between a proof's heads) come from the operator by another way than the proof. Exit 0: proven; 1: not.
"""
# ruff: noqa: PLR2004  codes of MessagePack

import json
import struct
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

BEFORE = {"debt-incurred": 0, "debt-repaid": 0, "grant-extended": 3, "credits-reversed": 2, "credits-transferred": 2}
WIDTHS = {0xC4: 18, 0xC7: 15, 0xD6: 6, 0xD7: 10} | {0xCC + n: 1 + (1 << n % 4) for n in range(8)}  # ids, times, numbers


def check(holds: bool, what: str) -> None:  # noqa: FBT001  read aloud
    """Refuse the proof unless something holds."""
    if not holds:
        raise ValueError(what)


def amount(tag: str, state: bytes) -> str:
    """The amount in an account's event, a MessagePack array of its tag, values BEFORE it (or one), it in millionths."""
    package, kind, *_ = tag.split(".")
    if package != "ledger" or kind.startswith(("account-", "hold-renewed", "budget", "log")):
        return "no amount"
    start = at = (1 if state[0] < 0xA0 else 3) + (1 if len(tag) < 0x20 else 2) + len(tag)
    for _ in range(BEFORE.get(kind[:19], 1) + 1):
        start, at = at, at + WIDTHS.get(state[at], 1)
    number = int.from_bytes(state[start + (at - start > 1) : at], signed=state[start] >= 0xD0)
    return f"{'-' * (number < 0)}{abs(number) // 10**6}.{abs(number) % 10**6:06} credits" if number else "no amount"


def event_hash(event: dict[str, Any]) -> bytes:
    """SHA-256 of all that is stored of the event, behind the hashes before it in its account and in the log."""
    tag, numbers = event["tag"].encode(), (event["version"], event["recorded_at_us"], event["effective_at_us"])
    stream, *hashes = [bytes.fromhex(event[name]) for name in ("stream_id", "key_hash", "stream_hash", "log_hash")]
    check([stream.hex(), *map(len, (stream, *hashes))] == [event["stream_id"], 16, 16, 32, 32], "an odd id or hash")
    head = struct.pack(">q16sqqq16s32s32sI", event["position"], stream, *numbers, *hashes, len(tag))
    return sha256(head + tag + bytes.fromhex(event["state"])).digest()


def check_head(head: dict[str, Any], public_keys: tuple[bytes, ...]) -> None:
    """Ed25519 over the size, the tree's root, the last event's hash, the verdicts' hash and the time."""
    keys = {sha256(key).hexdigest()[:16]: key for key in public_keys}
    check(head["key_id"] in keys, f"a head is signed by the key {head['key_id']!s:.16}, which was not given")
    hashes = [bytes.fromhex(head[name]) for name in ("root", "log_hash", "verdicts_hash")]
    check({*map(len, hashes)} == {32}, "a hash of a head is not 32 bytes long")
    signed = b"tallystick head v1\n" + struct.pack(">q32s32s32sq", head["size"], *hashes, head["signed_at_us"])
    Ed25519PublicKey.from_public_bytes(keys[head["key_id"]]).verify(bytes.fromhex(head["signature"]), signed)


def climb(place: int, last: int, start: bytes, path: list[str]) -> tuple[str, str]:
    """RFC 9162, 2.1.3.2 and 2.1.4.2 at once: the root without what lies to the right of the path, and the root."""
    older = newer = start
    for sibling in map(bytes.fromhex, path):
        check(last > 0, "a path is too long")
        left = place & 1 or place == last  # where the sibling is
        older = sha256(b"\1" + sibling + older).digest() if left else older
        newer = sha256(b"\1" + (sibling + newer if left else newer + sibling)).digest()
        steps = (place & -place).bit_length() if left else 1
        place, last = place >> steps, last >> steps
    check(last == 0, "a path is too short")
    return older.hex(), newer.hex()


def verify(proof: dict[str, Any], *public_keys: bytes) -> str:
    """Check a whole proof; what it proves, in words."""
    event, head, later = proof["event"], proof["head"], proof["later"]
    check(proof["format"] == "tallystick-event-v1", "not a proof of an event")
    check_head(head, public_keys)
    check(bytes.fromhex(proof["public_key"]) in public_keys, "the proof is under another key")
    check(0 < event["position"] <= head["size"], "the head does not reach so far")
    climbed = climb(event["position"] - 1, head["size"] - 1, sha256(b"\0" + event_hash(event)).digest(), proof["path"])
    check(climbed[1] == head["root"], "the event is not what the head covers")
    if later is not None:
        check_head(later["head"], public_keys)  # and the tree of the head is how the tree of the later one began
        first, second, roots = head["size"], later["head"]["size"], (head["root"], later["head"]["root"])
        check(first < second, "the later head is no later one")
        steps: list[str] = later["path"] if first & (first - 1) else [roots[0], *later["path"]]
        place, last = (one - 1 >> (first & -first).bit_length() - 1 for one in (first, second))
        check(climb(place, last, bytes.fromhex(steps[0]), steps[1:]) == roots, "the later head tells otherwise")
    recorded = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=event["recorded_at_us"])
    said = f"{event['tag']}, {amount(event['tag'], bytes.fromhex(event['state']))}, recorded {recorded.isoformat()}"
    return f"proven: {said}\naccount acc_{event['stream_id']}, event {event['position']:d} of {head['size']:d}\n"


if __name__ == "__main__":
    try:
        sys.stdout.write(verify(json.loads(Path(sys.argv[1]).read_bytes()), *map(bytes.fromhex, sys.argv[2:])))
    except (ValueError, LookupError, TypeError, OSError, InvalidSignature, struct.error) as error:
        sys.exit(f"NOT PROVEN: {error or 'the signature is not by this key'}")
