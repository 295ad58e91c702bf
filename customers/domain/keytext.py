"""Text of an API key: ``tally_live_`` or ``tally_test_``, 30 base62 characters, 6 of checksum.

The checksum lets a typing error, a cut or a scanner's find be judged without a database. It is no secret.
"""

from __future__ import annotations

import re
import zlib
from typing import Literal, NamedTuple, cast

Mode = Literal["live", "test"]

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BODY_CHARS = 30
CHECK_CHARS = 6
ENTROPY_BYTES = 32
"""Random bytes that one key takes: more than 30 characters hold, so that no character is likelier than another."""

LAST_CHARS = 4
_TEXT = re.compile(rf"tally_(?P<mode>live|test)_[0-9A-Za-z]{{{BODY_CHARS}}}(?P<check>[0-9A-Za-z]{{{CHECK_CHARS}}})")

assert len(ALPHABET) ** CHECK_CHARS > 2**32, "a CRC32 fits its characters"
assert len(ALPHABET) ** BODY_CHARS < 2 ** (8 * ENTROPY_BYTES - 64), "the remainder is as good as uniform"


class KeyText(NamedTuple):
    """What can be read off a well-formed key."""

    mode: Mode
    last_four: str


def make_secret(mode: Mode, entropy: bytes) -> str:
    """Write a key from ``ENTROPY_BYTES`` random bytes."""
    assert len(entropy) == ENTROPY_BYTES
    body = _base62(int.from_bytes(entropy), BODY_CHARS)
    text = f"{prefix_of(mode)}{body}"
    return text + checksum(text)


def read_secret(text: str) -> KeyText | None:
    """Read a key's text; None when it is not one, its checksum included."""
    match = _TEXT.fullmatch(text)
    if match is None or checksum(text[:-CHECK_CHARS]) != match["check"]:
        return None
    return KeyText(cast("Mode", match["mode"]), text[-LAST_CHARS:])


def prefix_of(mode: Mode) -> str:
    """How keys of a mode begin."""
    return f"tally_{mode}_"


def checksum(text: str) -> str:
    """CRC32 of prefix and body, as six base62 characters."""
    return _base62(zlib.crc32(text.encode()), CHECK_CHARS)


def _base62(number: int, chars: int) -> str:
    digits: list[str] = []
    for _ in range(chars):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
