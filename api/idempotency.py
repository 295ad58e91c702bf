"""The ``Idempotency-Key`` header (draft-ietf-httpapi-idempotency-key-header-07).

A structured-field string; the same text without quotes is accepted and means the same key.
"""

from __future__ import annotations

import re

from api.errors import KeyMalformed, KeyMissing
from api.limits import IDEMPOTENCY_KEY_CHARS_MAX

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"

_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+")
_ESCAPED = re.compile(r'\\(["\\])')


def read_key(value: str | None) -> str:
    """Read the header where it is required.

    :raises KeyMissing: not sent.
    :raises KeyMalformed: empty, too long, or not such a string.
    """
    if value is None:
        raise KeyMissing(f"send {HEADER}: a string of your own, the same for every repeat of this request")
    text = value.strip(" ")
    quoted = _QUOTED.fullmatch(text)
    if quoted is None and _BARE.fullmatch(text) is None:
        raise KeyMalformed(f"expected {HEADER} as a string of printable ASCII characters")
    key = _ESCAPED.sub(r"\1", quoted[1]) if quoted else text
    if not 0 < len(key) <= IDEMPOTENCY_KEY_CHARS_MAX:
        raise KeyMalformed(f"expected {HEADER} with 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters")
    return key
