"""The seal over verdicts that no event names."""

from __future__ import annotations

from hashlib import sha256

from ledger.writer.seal import seal

FIRST, SECOND = (b"\x01" * 16, b"digests", b"verdict"), (b"\x02" * 16, b"", b"other")


def test_a_seal_is_the_hash_of_framed_rows_in_the_order_of_keys() -> None:
    written = b"\0\0\0\x10" + b"\x01" * 16 + b"\0\0\0\x07digests" + b"\0\0\0\x07verdict"
    written += b"\0\0\0\x10" + b"\x02" * 16 + b"\0\0\0\0" + b"\0\0\0\x05other"
    assert seal([SECOND, FIRST]) == seal([FIRST, SECOND]) == sha256(written).digest()


def test_a_seal_tells_rows_apart_that_read_alike() -> None:
    key, digests, verdict = FIRST
    moved = (key, digests + verdict[:1], verdict[1:])
    assert seal([moved]) != seal([FIRST])
    assert seal([]) != seal([(key, b"", b"")])
