"""The Idempotency-Key header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import KeyMalformed, KeyMissing
from api.idempotency import read_key

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255)


def quoted(key: str) -> str:
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(PRINTABLE)
def test_a_quoted_key_reads_back(key: str) -> None:
    assert read_key(quoted(key)) == key


@pytest.mark.parametrize("key", ["abc", "8f14e45f-ceea-467f-9575-2c5d2b1a7c9e", "a:b/c=d", "!#$%&'*+.^_`|~"])
def test_bare_and_quoted_are_the_same_key(key: str) -> None:
    assert read_key(key) == read_key(f'"{key}"') == read_key(f'  "{key}" ') == key


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        '""',
        '"abc',
        'abc"',
        '"a"b"',
        '"\\x"',
        "a b",
        "a,b",
        '"a";p=1',
        "é",
        '"\x7f"',
        '"a\tb"',
        "k" * 256,
        f'"{"k" * 256}"',
    ],
)
def test_anything_else_is_refused(value: str) -> None:
    with pytest.raises(KeyMalformed):
        read_key(value)


def test_the_longest_key_is_read_and_a_missing_one_is_said_to_be_missing() -> None:
    assert read_key("k" * 255) == "k" * 255
    with pytest.raises(KeyMissing):
        read_key(None)
